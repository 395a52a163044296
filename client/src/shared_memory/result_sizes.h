// How large the tensors of a response are going to be.

#ifndef SPIKESERVE_CLIENT_SHARED_MEMORY_RESULT_SIZES_H_
#define SPIKESERVE_CLIENT_SHARED_MEMORY_RESULT_SIZES_H_

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "codec/envelope.h"

namespace spikeserve {

// Expects what the last request of the same kind got: the same method, with tensors of the same dtypes and shapes and
// the same choices (fields that are a bool or an enum), whatever its numbers. Thread-safe.
class ResultSizes {
 public:
  using Kind = std::string;
  static Kind KindOf(std::string_view path, const codec::Envelope& request);

  // In bytes; empty for a kind that is new.
  std::vector<size_t> Expected(const Kind& kind) const;
  void Learn(const Kind& kind, std::vector<size_t> sizes);

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_map<Kind, std::vector<size_t>> sizes_;  // Guarded by mutex_.
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_SHARED_MEMORY_RESULT_SIZES_H_

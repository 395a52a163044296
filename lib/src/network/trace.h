// What a network keeps of its steps for back-propagation.

#ifndef SPIKESERVE_SRC_NETWORK_TRACE_H_
#define SPIKESERVE_SRC_NETWORK_TRACE_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "scratch.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// Values of a block of steps; where all are 0 or 1 they take a bit each.
class TracedValues {
 public:
  // `values` are those of `steps` steps, one after the other.
  TracedValues(absl::Span<const float> values, int64_t steps, Executor& executor);

  // Writes them to `values`, which is as long.
  void Read(absl::Span<float> values, Executor& executor) const;

  int64_t ByteSize() const;

 private:
  std::variant<BitMatrix, ScratchFloats> values_;
};

// A block of steps, through which all layers go one after the other.
struct TraceBlock {
  int64_t steps;
  // What went into layer i, and at the end what the last layer gave; nullopt where no layer's Backward needs it.
  std::vector<std::optional<TracedValues>> values;
  // What layer i keeps itself.
  std::vector<ScratchFloats> kept;

  int64_t ByteSize() const;
};

// The steps since the trace began, in blocks.
struct Trace {
  std::deque<TraceBlock> blocks;

  int64_t steps() const;
  int64_t ByteSize() const;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_TRACE_H_

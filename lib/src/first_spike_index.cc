#include "spikeserve/compute/first_spike_index.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

// So many elements are worth a task of their own.
constexpr int64_t kElementsPerTask = 1 << 16;

// The largest bits that any element has: at most 1 for 0/1.
uint8_t UnionOfBits(const uint8_t* row, int64_t steps) {
  uint8_t bits = 0;
  for (int64_t t = 0; t < steps; ++t) bits |= row[t];
  return bits;
}

absl::Status NotZeroOrOne(const MatrixView<uint8_t>& spikes) {
  for (Eigen::Index r = 0; r < spikes.rows(); ++r) {
    for (Eigen::Index t = 0; t < spikes.cols(); ++t) {
      if (spikes(r, t) > 1) {
        return InvalidField("spikes", absl::StrCat(spikes(r, t), " in row ", r, " at step ", t), "only 0 and 1");
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> FirstSpikeIndex(MatrixView<uint8_t> spikes, Executor& executor) {
  const int64_t rows = spikes.rows();
  const int64_t steps = spikes.cols();
  if (steps > std::numeric_limits<int32_t>::max()) {
    return InvalidField("spikes", absl::StrCat(steps, " steps"), "fewer than 2^31 steps");
  }
  std::vector<int32_t> index(static_cast<size_t>(rows), -1);
  if (steps == 0) return index;
  std::atomic<bool> zero_or_one = true;
  executor.ParallelFor(rows, 1 + kElementsPerTask / steps, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t* row = spikes.data() + r * spikes.outerStride();
      if (UnionOfBits(row, steps) > 1) zero_or_one.store(false, std::memory_order_relaxed);
      const void* first = std::memchr(row, 1, static_cast<size_t>(steps));
      if (first != nullptr) index[r] = static_cast<int32_t>(static_cast<const uint8_t*>(first) - row);
    }
  });
  if (!zero_or_one) return NotZeroOrOne(spikes);
  return index;
}

}  // namespace spikeserve

// Internal: the last rows of voltages that a scan has taken.

#ifndef SPIKESERVE_COMPUTE_SRC_VOLTAGE_HISTORY_H_
#define SPIKESERVE_COMPUTE_SRC_VOLTAGE_HISTORY_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <utility>

#include "spikeserve/compute/executor.h"
#include "stop_check.h"

namespace spikeserve {

// A ring of at most `most` rows of `neurons` voltages: the row of step s is at s % most. Its memory doubles with the
// steps that are taken until it holds them all.
template <typename Scalar>
class VoltageHistory {
 public:
  VoltageHistory(int64_t neurons, int64_t most) : neurons_(neurons), most_(most) {}

  // The rows for which there is room once so many steps were taken.
  int64_t Capacity(int64_t steps) const {
    if (steps >= most_) return most_;
    return steps == 0 ? 0 : std::min(most_, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(steps))));
  }

  // Makes that room, where `taken` steps were taken before.
  void Grow(int64_t steps, int64_t taken, Executor& executor) {
    const int64_t capacity = Capacity(steps);
    if (capacity == capacity_) return;
    auto grown = std::make_unique_for_overwrite<Scalar[]>(static_cast<size_t>(capacity * neurons_));
    // It is smaller than `most`, so no step has wrapped around.
    executor.ParallelFor(taken * neurons_, kElementsPerCheck, [&](int64_t begin, int64_t end) {
      std::copy(rows_.get() + begin, rows_.get() + end, grown.get() + begin);
    });
    rows_ = std::move(grown);
    capacity_ = capacity;
  }

  Scalar* Row(int64_t step) const { return rows_.get() + step % most_ * neurons_; }

 private:
  int64_t neurons_;
  int64_t most_;
  std::unique_ptr<Scalar[]> rows_;
  int64_t capacity_ = 0;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_VOLTAGE_HISTORY_H_

// Internal: how what takes long, outside of an executor's loops or in one body of them, notices that it may stop.

#ifndef SPIKESERVE_COMPUTE_SRC_STOP_CHECK_H_
#define SPIKESERVE_COMPUTE_SRC_STOP_CHECK_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// Asks an executor whether it has stopped, after so much work that asking costs nothing to speak of.
//
// Who finds that it has leaves at once: what the executor's loops should have written may not be there. A body begins
// only while the executor has not stopped, so that it finds all that earlier loops should have written.
class StopCheck {
 public:
  explicit StopCheck(Executor& executor) : executor_(executor) {}

  // Whether it has stopped. `cost` is that of the work since the last call, in the units of Grain.
  bool After(double cost) {
    // Some tenths of a millisecond.
    constexpr double kEnough = 8e6;
    cost_ += cost;
    if (cost_ < kEnough) return false;
    cost_ = 0;
    return executor_.Stopped();
  }

 private:
  Executor& executor_;
  double cost_ = 0;
};

// Elements that are copied, or looked at, in less than some milliseconds.
inline constexpr int64_t kElementsPerCheck = 1 << 20;

// Calls body(begin, end) for one piece of [0, count) after the other, and asks between them. Returns false if the
// executor has stopped before the end.
template <typename Body>
bool ForPieces(Executor& executor, int64_t count, int64_t piece, const Body& body) {
  for (int64_t begin = 0; begin < count; begin += piece) {
    if (begin > 0 && executor.Stopped()) return false;
    body(begin, std::min(begin + piece, count));
  }
  return true;
}

// `size` elements `value`; fewer if the executor has stopped.
template <typename T>
std::vector<T> Filled(int64_t size, T value, Executor& executor) {
  std::vector<T> elements;
  elements.reserve(static_cast<size_t>(size));
  ForPieces(executor, size, kElementsPerCheck,
            [&](int64_t /*begin*/, int64_t end) { elements.resize(static_cast<size_t>(end), value); });
  return elements;
}

// What functions return that have nothing else to return when the executor has stopped.
inline absl::Status NotWanted() { return absl::CancelledError("nobody wants the result"); }

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_STOP_CHECK_H_

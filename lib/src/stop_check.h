// Internal: how what takes long, outside of an executor's loops or in one body of them, notices that it may stop.

#ifndef SPIKESERVE_COMPUTE_SRC_STOP_CHECK_H_
#define SPIKESERVE_COMPUTE_SRC_STOP_CHECK_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// Asks an executor whether it has stopped, once for so much work that asking costs nothing to speak of. Of one thread.
//
// Who finds that it has leaves at once: what the executor's loops should have written may not be there. A body begins
// only while the executor has not stopped, so that it finds all that earlier loops should have written.
class StopCheck {
 public:
  // In the units of Grain, about a multiplication: from 0.1 ms to some milliseconds.
  static constexpr int64_t kCostPerQuestion = 1 << 21;

  explicit StopCheck(Executor& executor) : executor_(executor) {}

  // Whether it has stopped. `cost` is that of the work between two calls. Once true it stays true.
  bool After(double cost) {
    cost_ += cost;
    if (cost_ >= static_cast<double>(kCostPerQuestion)) {
      cost_ = 0;
      stopped_ = stopped_ || executor_.Stopped();
    }
    return stopped_;
  }

  // Calls body(begin, end) for consecutive ranges that cover [0, count), of elements that each cost a few
  // multiplications; of all but the last the lengths are multiples of 64. False where it has stopped.
  template <typename Body>
  bool ForPieces(int64_t count, Body body) {
    constexpr int64_t kElementCost = 4;
    constexpr int64_t kPiece = kCostPerQuestion / kElementCost;
    for (int64_t begin = 0; begin < count; begin += kPiece) {
      const int64_t end = std::min(begin + kPiece, count);
      if (After(static_cast<double>(kElementCost * (end - begin)))) return false;
      body(begin, end);
    }
    return true;
  }

 private:
  Executor& executor_;
  double cost_ = 0;
  bool stopped_ = false;
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

// Questions inside of bodies of loops that take long.

#ifndef SPIKESERVE_SRC_NETWORK_WORK_METER_H_
#define SPIKESERVE_SRC_NETWORK_WORK_METER_H_

#include <algorithm>
#include <cstdint>

#include "spikeserve/compute/executor.h"

namespace spikeserve {

// Asks an executor whether it has stopped, once for so much work: about as many multiplications, which take from 0.1 ms
// to some milliseconds. Of one thread.
class WorkMeter {
 public:
  static constexpr int64_t kWorkPerQuestion = 1 << 21;

  explicit WorkMeter(Executor& executor) : executor_(executor) {}

  // To be called before `work`. Once true it stays true.
  bool Stopped(int64_t work) {
    work_ += work;
    if (work_ >= kWorkPerQuestion) {
      work_ = 0;
      stopped_ = stopped_ || executor_.Stopped();
    }
    return stopped_;
  }

  // Calls body(begin, end) for consecutive ranges that cover [0, count), of elements that are each the work of a few
  // multiplications; of all but the last the lengths are multiples of 64. False where it has stopped.
  template <class Body>
  bool ForEachPiece(int64_t count, Body body) {
    constexpr int64_t kPiece = kWorkPerQuestion / 4;
    for (int64_t begin = 0; begin < count; begin += kPiece) {
      const int64_t end = std::min(begin + kPiece, count);
      if (Stopped(4 * (end - begin))) return false;
      body(begin, end);
    }
    return true;
  }

 private:
  Executor& executor_;
  int64_t work_ = 0;
  bool stopped_ = false;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_WORK_METER_H_

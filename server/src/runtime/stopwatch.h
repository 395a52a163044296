// Time that passes between one point of the program and the next.

#ifndef SPIKESERVE_SERVER_RUNTIME_STOPWATCH_H_
#define SPIKESERVE_SERVER_RUNTIME_STOPWATCH_H_

#include <chrono>

#include "absl/time/time.h"

namespace spikeserve::server {

// Runs from when it is made. Not thread-safe.
class Stopwatch {
 public:
  // The time since the last lap, or since the start before the first one.
  absl::Duration Lap() {
    const Clock::time_point now = Clock::now();
    const Clock::duration lap = now - lap_;
    lap_ = now;
    return absl::FromChrono(lap);
  }

  // The time since the start.
  absl::Duration Total() const { return absl::FromChrono(Clock::now() - start_); }

 private:
  using Clock = std::chrono::steady_clock;

  const Clock::time_point start_ = Clock::now();
  Clock::time_point lap_ = start_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STOPWATCH_H_

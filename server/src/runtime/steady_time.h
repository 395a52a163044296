// The time for measuring how long things take and for waiting: it does not jump when somebody sets the clock.

#ifndef SPIKESERVE_SERVER_RUNTIME_STEADY_TIME_H_
#define SPIKESERVE_SERVER_RUNTIME_STEADY_TIME_H_

#include <chrono>

#include "absl/time/time.h"

namespace spikeserve::server {

// The time since some point in the past; only differences mean anything.
inline absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STEADY_TIME_H_

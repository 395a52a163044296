// Whether a call is still worth computing.

#ifndef SPIKESERVE_SERVER_RUNTIME_WANTED_H_
#define SPIKESERVE_SERVER_RUNTIME_WANTED_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace spikeserve::server {

// Thread-safe.
class Wanted {
 public:
  // `cancelled` tells, from any thread, whether the caller has given up.
  explicit Wanted(
      absl::Time deadline = absl::InfiniteFuture(), std::function<bool()> cancelled = [] { return false; })
      : deadline_(deadline), cancelled_(std::move(cancelled)) {}

  // OK, or why it is not: CANCELLED, DEADLINE_EXCEEDED.
  absl::Status Check() const {
    if (cancelled_()) return absl::CancelledError("the caller cancelled the call");
    if (absl::Now() >= deadline_) {
      return absl::DeadlineExceededError("the call's deadline passed before it was computed");
    }
    return absl::OkStatus();
  }

 private:
  absl::Time deadline_;
  std::function<bool()> cancelled_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_WANTED_H_

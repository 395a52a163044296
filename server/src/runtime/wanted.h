// Whether a call is still worth computing.

#ifndef SPIKESERVE_SERVER_RUNTIME_WANTED_H_
#define SPIKESERVE_SERVER_RUNTIME_WANTED_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
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

  // The same call, which is computed from now on, and for no longer than `max_compute_time`.
  Wanted For(absl::Duration max_compute_time) const {
    Wanted limited = *this;
    limited.max_compute_time_ = max_compute_time;
    limited.compute_until_ = absl::Now() + max_compute_time;
    return limited;
  }

  // OK, or why it is not: CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED.
  absl::Status operator()() const {
    if (cancelled_()) return absl::CancelledError("the caller cancelled the call");
    const absl::Time now = absl::Now();
    if (now >= deadline_) return absl::DeadlineExceededError("the call's deadline passed before it was computed");
    if (now >= compute_until_) {
      return absl::ResourceExhaustedError(absl::StrCat("call: more than ", absl::FormatDuration(max_compute_time_),
                                                       " of computing; need less (the server's --max-compute-time)"));
    }
    return absl::OkStatus();
  }

 private:
  absl::Time deadline_;
  absl::Duration max_compute_time_ = absl::InfiniteDuration();
  absl::Time compute_until_ = absl::InfiniteFuture();
  std::function<bool()> cancelled_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_WANTED_H_

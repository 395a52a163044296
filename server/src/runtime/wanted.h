// Whether a call is still worth computing.

#ifndef SPIKESERVE_SERVER_RUNTIME_WANTED_H_
#define SPIKESERVE_SERVER_RUNTIME_WANTED_H_

#include <atomic>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/steady_time.h"

namespace spikeserve::server {

// Thread-safe.
class Wanted {
 public:
  // `cancelled` tells, from any thread, whether the caller has given up, and `ending` (null: never) whether the server
  // waits for calls no longer.
  explicit Wanted(
      absl::Time deadline = absl::InfiniteFuture(), std::function<bool()> cancelled = [] { return false; },
      const std::atomic<bool>* ending = nullptr)
      : deadline_(deadline), cancelled_(std::move(cancelled)), ending_(ending) {}

  // The same call, which is computed from now on, and for no longer than `max_compute_time`.
  Wanted For(absl::Duration max_compute_time) const {
    Wanted limited = *this;
    limited.max_compute_time_ = max_compute_time;
    limited.compute_until_ = SteadyNow() + max_compute_time;
    return limited;
  }

  // OK, or why it is not: CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE, RESOURCE_EXHAUSTED.
  absl::Status operator()() const {
    if (cancelled_()) return absl::CancelledError("the caller cancelled the call");
    if (ending_ != nullptr && *ending_) {
      return absl::UnavailableError("the server ends, and the call took longer than its --drain-timeout");
    }
    if (deadline_ != absl::InfiniteFuture() && absl::Now() >= deadline_) {
      return absl::DeadlineExceededError("the call's deadline passed before it was computed");
    }
    if (compute_until_ != absl::InfiniteFuture() && SteadyNow() >= compute_until_) {
      return absl::ResourceExhaustedError(absl::StrCat("call: more than ", absl::FormatDuration(max_compute_time_),
                                                       " of computing; need less (the server's --max-compute-time)"));
    }
    return absl::OkStatus();
  }

 private:
  absl::Time deadline_;
  absl::Duration max_compute_time_ = absl::InfiniteDuration();
  // By SteadyNow.
  absl::Time compute_until_ = absl::InfiniteFuture();
  std::function<bool()> cancelled_;
  const std::atomic<bool>* ending_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_WANTED_H_

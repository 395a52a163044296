// Calls that wait for the same thing: for a thread of the pool, or for their network.

#ifndef SPIKESERVE_SERVER_RUNTIME_WAITING_LINE_H_
#define SPIKESERVE_SERVER_RUNTIME_WAITING_LINE_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace spikeserve::server {

// Thread-safe.
class WaitingLine {
 public:
  // `servers` >= 1: how many of the calls are computed at the same time.
  explicit WaitingLine(int servers) : servers_(servers) {}

  // Adds a call that is expected to take `cost`, and returns nothing; or adds nothing, and returns how long the call
  // would have to wait, where that is more than `max_wait`. As many calls as there are servers may always wait: else a
  // server that has ended a call would have to wait for the next one.
  std::optional<absl::Duration> Enter(absl::Duration cost, absl::Duration max_wait) {
    const int64_t nanoseconds = absl::ToInt64Nanoseconds(cost);
    const int64_t calls_before = calls_.fetch_add(1);
    const absl::Duration wait = absl::Nanoseconds(nanoseconds_.fetch_add(nanoseconds)) / servers_;
    if (calls_before < servers_ || wait <= max_wait) return std::nullopt;
    Leave(cost);
    return wait;
  }

  // The call's turn has come. `cost` as it was for Enter.
  void Leave(absl::Duration cost) {
    nanoseconds_.fetch_sub(absl::ToInt64Nanoseconds(cost));
    calls_.fetch_sub(1);
  }

  int64_t calls() const { return calls_.load(std::memory_order_relaxed); }

 private:
  const int servers_;
  std::atomic<int64_t> calls_{0};
  std::atomic<int64_t> nanoseconds_{0};
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_WAITING_LINE_H_

// Lets through one of many.

#ifndef SPIKESERVE_SERVER_TELEMETRY_THROTTLE_H_
#define SPIKESERVE_SERVER_TELEMETRY_THROTTLE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/time/time.h"

namespace spikeserve::telemetry {

// Thread-safe, without locks.
class Throttle {
 public:
  explicit Throttle(absl::Duration period = absl::Seconds(1)) : period_(absl::ToInt64Nanoseconds(period)) {}

  // The first one in each period gets the number of those that came since the last one that got one; others get
  // nullopt.
  std::optional<int64_t> Admit(absl::Time now) {
    const int64_t time = absl::ToUnixNanos(now);
    int64_t next = next_.load(std::memory_order_relaxed);
    if (time < next || !next_.compare_exchange_strong(next, time + period_, std::memory_order_relaxed)) {
      suppressed_.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    return suppressed_.exchange(0, std::memory_order_relaxed);
  }

 private:
  const int64_t period_;
  std::atomic<int64_t> next_{std::numeric_limits<int64_t>::min()};
  std::atomic<int64_t> suppressed_{0};
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_THROTTLE_H_

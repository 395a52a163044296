// How long things took: counts by duration, which threads add to without waiting for each other.

#ifndef SPIKESERVE_SERVER_RUNTIME_TIME_HISTOGRAM_H_
#define SPIKESERVE_SERVER_RUNTIME_TIME_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <numeric>

#include "absl/time/time.h"

namespace spikeserve::server {

// The upper bounds of the buckets, in nanoseconds: ten to a decade from 1 us to 100 s (the R10 series of ISO 3, which
// has 1, 2, 2.5, 5 and 10), so that a quantile is known to a quarter of its value.
inline constexpr auto kTimeBounds = [] {
  constexpr std::array<int64_t, 10> kSeries = {100, 125, 160, 200, 250, 320, 400, 500, 630, 800};
  std::array<int64_t, 8 * kSeries.size() + 1> bounds{};
  int64_t scale = 10;
  for (size_t i = 0; i < bounds.size(); ++i) {
    bounds[i] = kSeries[i % kSeries.size()] * scale;
    if (i % kSeries.size() == kSeries.size() - 1) scale *= 10;
  }
  return bounds;
}();

// What was counted, at one time.
struct TimeCounts {
  // Bucket i has the durations up to kTimeBounds[i] that are in no bucket before it, the last one all that are longer.
  std::array<int64_t, kTimeBounds.size() + 1> buckets{};
  absl::Duration total = {};

  int64_t count() const { return std::accumulate(buckets.begin(), buckets.end(), int64_t{0}); }
};

// Thread-safe.
class TimeHistogram {
 public:
  // Counts a duration, which is not negative.
  void Record(absl::Duration time) {
    const int64_t nanoseconds = absl::ToInt64Nanoseconds(time);
    const auto bucket = std::lower_bound(kTimeBounds.begin(), kTimeBounds.end(), nanoseconds) - kTimeBounds.begin();
    buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
    total_.fetch_add(nanoseconds, std::memory_order_relaxed);
  }

  // What was counted before is in it; of what is counted meanwhile the total may be there without the count.
  TimeCounts Read() const {
    TimeCounts counts;
    for (size_t i = 0; i < buckets_.size(); ++i) counts.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    counts.total = absl::Nanoseconds(total_.load(std::memory_order_relaxed));
    return counts;
  }

 private:
  std::array<std::atomic<int64_t>, kTimeBounds.size() + 1> buckets_{};
  std::atomic<int64_t> total_{0};
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_TIME_HISTOGRAM_H_

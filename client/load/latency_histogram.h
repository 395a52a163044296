// How long calls took: percentiles of any number of latencies in a fixed amount of memory.

#ifndef SPIKESERVE_LOAD_LATENCY_HISTOGRAM_H_
#define SPIKESERVE_LOAD_LATENCY_HISTOGRAM_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace spikeserve::load {

// Counts latencies, to the nanosecond, in buckets that are at most 1/128 as wide as the latencies in them. Latencies
// below 256 ns have buckets of their own; the longest is 2^63 ns. Copyable. Not thread-safe.
class LatencyHistogram {
 public:
  // A latency below zero counts as zero.
  void Record(absl::Duration latency);
  // Adds what `other` has recorded.
  void Merge(const LatencyHistogram& other);

  int64_t count() const { return count_; }
  // Exact. Zero where nothing was recorded.
  absl::Duration min() const { return absl::Nanoseconds(count_ == 0 ? 0 : min_); }
  absl::Duration max() const { return absl::Nanoseconds(max_); }
  absl::Duration mean() const { return count_ == 0 ? absl::ZeroDuration() : sum_ / count_; }

  // The latency that `percent` of all latencies do not exceed: the smallest that is not less than ceil(percent / 100 *
  // count) of them (at least one), rounded up to its bucket's end, but not above max(). Zero where nothing was
  // recorded.
  absl::Duration Percentile(double percent) const;

  // A range of latencies, begin <= latency < end, and how many there were.
  struct Range {
    absl::Duration begin;
    absl::Duration end;
    int64_t count;
  };
  // What was recorded in ranges of which each ends at twice its beginning, from the first that is not empty to the
  // last.
  std::vector<Range> Octaves() const;

 private:
  // Bucket i's count; as long as the largest latency needs.
  std::vector<int64_t> buckets_;
  int64_t count_ = 0;
  int64_t min_ = 0;
  int64_t max_ = 0;
  absl::Duration sum_;
};

}  // namespace spikeserve::load

#endif  // SPIKESERVE_LOAD_LATENCY_HISTOGRAM_H_

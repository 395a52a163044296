#include "load/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace spikeserve::load {
namespace {

// Values of one binary order of magnitude share 2^kPrecisionBits buckets.
constexpr int kPrecisionBits = 7;
constexpr int64_t kBucketsPerOctave = int64_t{1} << kPrecisionBits;

// The low bits that the bucket of `value` ignores.
int IgnoredBits(int64_t value) {
  return std::max(0, static_cast<int>(std::bit_width(static_cast<uint64_t>(value))) - kPrecisionBits - 1);
}

// Buckets are numbered in the order of their values, without gaps.
size_t BucketOf(int64_t value) {
  const int ignored = IgnoredBits(value);
  return static_cast<size_t>(ignored * kBucketsPerOctave + (value >> ignored));
}

// The largest value of a bucket.
int64_t LastValue(size_t bucket) {
  const auto i = static_cast<int64_t>(bucket);
  const int ignored = static_cast<int>(std::max<int64_t>(0, i / kBucketsPerOctave - 1));
  const int64_t leading = i - ignored * kBucketsPerOctave;
  return (leading << ignored) + ((int64_t{1} << ignored) - 1);
}

}  // namespace

void LatencyHistogram::Record(absl::Duration latency) {
  const int64_t value = std::max<int64_t>(0, absl::ToInt64Nanoseconds(latency));
  const size_t bucket = BucketOf(value);
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  ++buckets_[bucket];
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = std::max(max_, value);
  sum_ += absl::Nanoseconds(value);
  ++count_;
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  if (other.count_ == 0) return;
  buckets_.resize(std::max(buckets_.size(), other.buckets_.size()));
  for (size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  count_ += other.count_;
}

absl::Duration LatencyHistogram::Percentile(double percent) const {
  const auto wanted =
      std::max<int64_t>(1, static_cast<int64_t>(std::ceil(percent / 100 * static_cast<double>(count_))));
  int64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return absl::Nanoseconds(std::min(LastValue(i), max_));
  }
  return max();
}

std::vector<LatencyHistogram::Range> LatencyHistogram::Octaves() const {
  std::vector<Range> octaves;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    const auto last = static_cast<uint64_t>(LastValue(i));
    // In a double, because the end of the last octave is 2^63 ns.
    const double begin = last == 0 ? 0 : static_cast<double>(std::bit_floor(last));
    const double end = last == 0 ? 1 : 2 * begin;
    while (!octaves.empty() && absl::ToDoubleNanoseconds(octaves.back().end) < begin) {
      octaves.push_back({octaves.back().end, octaves.back().end * 2, 0});
    }
    if (octaves.empty() || absl::ToDoubleNanoseconds(octaves.back().begin) < begin) {
      octaves.push_back({absl::Nanoseconds(begin), absl::Nanoseconds(end), 0});
    }
    octaves.back().count += buckets_[i];
  }
  return octaves;
}

}  // namespace spikeserve::load

#include "load/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace spikeserve::load {
namespace {

absl::Duration Ns(int64_t n) { return absl::Nanoseconds(n); }

LatencyHistogram Of(const std::vector<int64_t>& nanoseconds) {
  LatencyHistogram histogram;
  for (int64_t n : nanoseconds) histogram.Record(Ns(n));
  return histogram;
}

// Latencies of all magnitudes.
std::vector<int64_t> RandomLatencies(int count, std::minstd_rand& random) {
  std::uniform_real_distribution<double> log2(0, 45);
  std::vector<int64_t> latencies;
  for (int i = 0; i < count; ++i) latencies.push_back(static_cast<int64_t>(std::exp2(log2(random))) - 1);
  return latencies;
}

TEST(LatencyHistogram, IsZeroWithoutLatencies) {
  const LatencyHistogram empty;
  EXPECT_EQ(empty.count(), 0);
  EXPECT_EQ(empty.min(), absl::ZeroDuration());
  EXPECT_EQ(empty.max(), absl::ZeroDuration());
  EXPECT_EQ(empty.mean(), absl::ZeroDuration());
  EXPECT_EQ(empty.Percentile(50), absl::ZeroDuration());
  EXPECT_TRUE(empty.Octaves().empty());
}

TEST(LatencyHistogram, MinMaxAndMeanAreExact) {
  const LatencyHistogram histogram = Of({1'000'004, 5, 999'999'999'991, 0});
  EXPECT_EQ(histogram.count(), 4);
  EXPECT_EQ(histogram.min(), Ns(0));
  EXPECT_EQ(histogram.max(), Ns(999'999'999'991));
  EXPECT_EQ(histogram.mean(), Ns(1'000'001'000'000 / 4));
}

TEST(LatencyHistogram, PercentilesAreThoseOfTheSortedLatenciesRoundedUpByAtMost1In128) {
  std::minstd_rand random(1);
  for (const int count : {1, 2, 3, 10, 127, 1000, 20'011}) {
    std::vector<int64_t> latencies = RandomLatencies(count, random);
    const LatencyHistogram histogram = Of(latencies);
    std::sort(latencies.begin(), latencies.end());
    for (const double percent : {0.0, 0.1, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
      const auto rank = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(percent / 100 * count)));
      const int64_t exact = latencies[rank - 1];
      const int64_t got = absl::ToInt64Nanoseconds(histogram.Percentile(percent));
      EXPECT_GE(got, exact) << percent << " % of " << count;
      EXPECT_LE(got, exact + exact / 128) << percent << " % of " << count;
    }
    EXPECT_EQ(histogram.Percentile(100), histogram.max());
  }
}

TEST(LatencyHistogram, LatenciesBelow256NanosecondsAreExact) {
  for (int64_t n = 0; n < 256; ++n) {
    LatencyHistogram histogram = Of({n, 1000});
    EXPECT_EQ(histogram.Percentile(50), Ns(n));
  }
}

TEST(LatencyHistogram, TakesTheShortestAndTheLongest) {
  LatencyHistogram histogram;
  histogram.Record(absl::Seconds(-1));
  histogram.Record(absl::InfiniteDuration());
  EXPECT_EQ(histogram.min(), absl::ZeroDuration());
  EXPECT_EQ(histogram.Percentile(50), absl::ZeroDuration());
  EXPECT_EQ(histogram.max(), Ns(std::numeric_limits<int64_t>::max()));
  EXPECT_EQ(histogram.Percentile(100), histogram.max());
  EXPECT_EQ(histogram.Octaves().size(), 64u);
}

TEST(LatencyHistogram, MergingIsTheSameAsRecordingAll) {
  std::minstd_rand random(2);
  const std::vector<int64_t> a = RandomLatencies(100, random), b = RandomLatencies(57, random);
  std::vector<int64_t> both = a;
  both.insert(both.end(), b.begin(), b.end());
  const LatencyHistogram wanted = Of(both);
  LatencyHistogram into_empty, merged = Of(a);
  merged.Merge(Of(b));
  merged.Merge(LatencyHistogram());
  into_empty.Merge(wanted);
  for (const LatencyHistogram& got : {merged, into_empty}) {
    EXPECT_EQ(got.count(), wanted.count());
    EXPECT_EQ(got.min(), wanted.min());
    EXPECT_EQ(got.max(), wanted.max());
    EXPECT_EQ(got.mean(), wanted.mean());
    for (int percent = 0; percent <= 100; ++percent) EXPECT_EQ(got.Percentile(percent), wanted.Percentile(percent));
  }
}

TEST(LatencyHistogram, OctavesCountTheLatenciesInRangesThatFollowEachOther) {
  std::minstd_rand random(3);
  for (const int count : {1, 2, 50, 1000}) {
    const std::vector<int64_t> latencies = RandomLatencies(count, random);
    const std::vector<LatencyHistogram::Range> octaves = Of(latencies).Octaves();
    ASSERT_FALSE(octaves.empty());
    EXPECT_GT(octaves.front().count, 0);
    EXPECT_GT(octaves.back().count, 0);
    for (size_t i = 0; i < octaves.size(); ++i) {
      const auto& [begin, end, counted] = octaves[i];
      EXPECT_EQ(begin, i == 0 ? begin : octaves[i - 1].end);
      EXPECT_EQ(end, begin == absl::ZeroDuration() ? Ns(1) : 2 * begin);
      EXPECT_EQ(counted, std::count_if(latencies.begin(), latencies.end(), [begin = begin, end = end](int64_t n) {
                  return Ns(n) >= begin && Ns(n) < end;
                }));
    }
  }
}

}  // namespace
}  // namespace spikeserve::load

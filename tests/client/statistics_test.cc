#include "spikeserve/client/statistics.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace spikeserve {
namespace {

const std::vector<absl::Duration> kBounds = {absl::Milliseconds(1), absl::Milliseconds(10), absl::Milliseconds(100)};

TimeStatistics Times(std::vector<int64_t> buckets) {
  TimeStatistics times;
  for (const int64_t calls : buckets) times.calls += calls;
  times.buckets = std::move(buckets);
  return times;
}

TEST(TimeStatistics, AQuantileIsTheBoundOfItsBucket) {
  const TimeStatistics times = Times({50, 49, 1, 0});
  EXPECT_EQ(times.Quantile(0.5, kBounds), absl::Milliseconds(1));
  EXPECT_EQ(times.Quantile(0.51, kBounds), absl::Milliseconds(10));
  EXPECT_EQ(times.Quantile(0.99, kBounds), absl::Milliseconds(10));
  EXPECT_EQ(times.Quantile(1, kBounds), absl::Milliseconds(100));
}

TEST(TimeStatistics, OfNoCallsAreZeroAndAboveAllBoundsAtTheLast) {
  EXPECT_EQ(Times({0, 0, 0, 0}).Quantile(0.5, kBounds), absl::ZeroDuration());
  EXPECT_EQ(TimeStatistics().Quantile(0.5, {}), absl::ZeroDuration());
  EXPECT_EQ(Times({0, 0, 0, 7}).Quantile(0.5, kBounds), absl::Milliseconds(100));
}

TEST(TimeStatistics, QuantilesAreThoseOfTheSortedTimes) {
  std::mt19937 random(3);
  for (int repeat = 0; repeat < 200; ++repeat) {
    std::vector<size_t> sorted(1 + random() % 50);
    std::vector<int64_t> buckets(4);
    for (size_t& bucket : sorted) ++buckets[bucket = random() % 4];
    std::sort(sorted.begin(), sorted.end());
    for (const double part : {0.0, 0.01, 0.5, 0.9, 0.99, 1.0}) {
      const size_t rank =
          std::max<size_t>(1, static_cast<size_t>(std::ceil(part * static_cast<double>(sorted.size()))));
      EXPECT_EQ(Times(buckets).Quantile(part, kBounds), kBounds[std::min<size_t>(sorted[rank - 1], 2)]);
    }
  }
}

TEST(TimeStatistics, SinceIsWhatCameBetween) {
  TimeStatistics before = Times({1, 2, 0, 0}), after = Times({1, 5, 0, 1});
  before.total = absl::Milliseconds(10);
  after.total = absl::Milliseconds(300);
  const TimeStatistics since = after.Since(before);
  EXPECT_EQ(since.calls, 4);
  EXPECT_EQ(since.total, absl::Milliseconds(290));
  EXPECT_EQ(since.buckets, (std::vector<int64_t>{0, 3, 0, 1}));
  EXPECT_EQ(after.Since(TimeStatistics()).buckets, after.buckets);
}

}  // namespace
}  // namespace spikeserve

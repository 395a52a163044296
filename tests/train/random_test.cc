#include "train/random.h"

#include <algorithm>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spikeserve::train {
namespace {

using ::testing::ElementsAre;

std::vector<int> Shuffled(Random random, int n) {
  std::vector<int> values(n);
  std::iota(values.begin(), values.end(), 0);
  random.Shuffle(values);
  return values;
}

TEST(Random, DrawsTheSameNumbersAtEachTimeAndPlace) {
  // Computed from the definitions of seed_seq and mt19937_64. Other numbers would change what every seed stands for.
  EXPECT_THAT(Shuffled(Random(1, Purpose::kOrder, 0), 8), ElementsAre(1, 4, 3, 0, 6, 2, 5, 7));
  EXPECT_EQ(Random(1, Purpose::kParameters, 0).Uniform(), 0.8261408893988074);
  EXPECT_EQ(Random(uint64_t{1} << 40, Purpose::kSplit, 5).Below(1'000'000'007), 788606914);
}

TEST(Random, SeedsPurposesAndIndicesGiveNumbersOfTheirOwn) {
  std::vector<double> first;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
    for (const Purpose purpose : {Purpose::kParameters, Purpose::kSplit, Purpose::kOrder}) {
      for (const uint64_t index : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
        first.push_back(Random(seed, purpose, index).Uniform());
      }
    }
  }
  std::sort(first.begin(), first.end());
  EXPECT_EQ(std::adjacent_find(first.begin(), first.end()), first.end());
}

TEST(Random, UniformNumbersFillTheirRangeEvenly) {
  Random random(7, Purpose::kParameters, 3);
  int counts[10] = {};
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.Uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    ++counts[static_cast<int>(value * 10)];
  }
  // Five standard deviations are 474.
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 474);
}

TEST(Random, BelowGivesEachNumberEquallyOften) {
  for (const uint64_t n : {1, 2, 3, 7}) {
    Random random(n, Purpose::kSplit, 0);
    std::vector<int> counts(n);
    for (uint64_t i = 0; i < 10'000 * n; ++i) ++counts[random.Below(n)];
    for (const int count : counts) EXPECT_NEAR(count, 10'000, 500) << n;
  }
}

TEST(Random, BelowStaysBelowWhereTwoToThe64IsNoMultiple) {
  const uint64_t n = (uint64_t{1} << 63) + 1;
  Random random(1, Purpose::kSplit, 0);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(random.Below(n), n);
}

TEST(Random, ShufflesKeepTheElementsAndReachEveryOrder) {
  EXPECT_TRUE(Shuffled(Random(1, Purpose::kOrder, 0), 0).empty());
  EXPECT_THAT(Shuffled(Random(1, Purpose::kOrder, 0), 1), ElementsAre(0));
  std::vector<std::vector<int>> seen;
  for (uint64_t epoch = 0; epoch < 200; ++epoch) {
    std::vector<int> order = Shuffled(Random(1, Purpose::kOrder, epoch), 3);
    seen.push_back(order);
    std::sort(order.begin(), order.end());
    EXPECT_THAT(order, ElementsAre(0, 1, 2));
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()) - seen.begin(), 6);
}

}  // namespace
}  // namespace spikeserve::train

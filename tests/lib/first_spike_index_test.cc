#include "spikeserve/compute/first_spike_index.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> Naive(const RowMatrix<uint8_t>& spikes) {
  std::vector<int32_t> index;
  for (int r = 0; r < spikes.rows(); ++r) {
    index.push_back(-1);
    for (int t = static_cast<int>(spikes.cols()) - 1; t >= 0; --t) {
      if (spikes(r, t) == 1) index.back() = t;
    }
  }
  return index;
}

TEST(FirstSpikeIndex, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("first_spike_index")) {
    const Tensor& input = golden.inputs.at("spikes");
    const int64_t steps = input.shape().back();
    const auto values = input.values<float>();
    const std::vector<uint8_t> bytes(values.begin(), values.end());
    const auto index = FirstSpikeIndex(Eigen::Map<const RowMatrix<uint8_t>>(bytes.data(), input.size() / steps, steps));
    ASSERT_TRUE(index.ok());
    const std::vector<double> mask = golden.outputs.at("index").ToDoubles();
    for (size_t i = 0; i < mask.size(); ++i) {
      EXPECT_EQ((*index)[i / steps] == static_cast<int64_t>(i % steps), mask[i] == 1) << golden.name;
    }
  }
}

TEST(FirstSpikeIndex, IsThatOfTheDefinitionForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  for (const int rows : testing::kSizes) {
    for (const int steps : testing::kSizes) {
      const RowMatrix<uint8_t> spikes = testing::RandomSpikes(rows, steps, 0.03, rows * 1000 + steps).cast<uint8_t>();
      EXPECT_EQ(*FirstSpikeIndex(spikes), Naive(spikes));
      EXPECT_EQ(*FirstSpikeIndex(spikes, split), Naive(spikes));
    }
  }
}

TEST(FirstSpikeIndex, RowsMayBeApart) {
  RowMatrix<uint8_t> spikes = RowMatrix<uint8_t>::Constant(3, 9, 5);
  spikes.leftCols(4) << 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1;
  EXPECT_THAT(*FirstSpikeIndex(spikes.leftCols(4)), ElementsAre(2, -1, 0));
}

TEST(FirstSpikeIndex, RowsWithoutStepsAreSilent) {
  EXPECT_THAT(*FirstSpikeIndex(RowMatrix<uint8_t>(2, 0)), ElementsAre(-1, -1));
  EXPECT_THAT(*FirstSpikeIndex(RowMatrix<uint8_t>(0, 4)), IsEmpty());
}

TEST(FirstSpikeIndex, RefusesOtherValuesEvenAfterTheFirstSpike) {
  RowMatrix<uint8_t> spikes = RowMatrix<uint8_t>::Ones(3, 5);
  spikes(2, 4) = 2;
  spikes(1, 3) = 255;
  EXPECT_EQ(testing::Refusal(FirstSpikeIndex(spikes).status(), "spikes"),
            "spikes: 255 in row 1 at step 3; need only 0 and 1");
}

}  // namespace
}  // namespace spikeserve

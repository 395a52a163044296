#include "spikeserve/compute/first_spike_index.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"

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

// Sizes about those of registers, of words, and of rows that are read in another way.
constexpr int kSteps[] = {0,   1,   2,   7,   8,   9,   15,  16,  17,   31,   33,   63,   64,   65,  100,
                          127, 128, 129, 255, 257, 300, 511, 513, 1000, 2047, 2049, 2100, 4096, 5000};

RowMatrix<uint8_t> Spikes(int rows, int steps) {
  return testing::RandomSpikes(rows, steps, 2.0 / (steps + 1), static_cast<uint32_t>(rows * 1000 + steps))
      .cast<uint8_t>();
}

// The bits of spikes in rows that are `row_bytes` apart, with ones wherever there is no spike to be, in memory that
// ends with the last of them.
std::vector<uint8_t> Bits(const RowMatrix<uint8_t>& spikes, int64_t row_bytes) {
  const int64_t rows = spikes.rows();
  const int64_t used_bytes = (spikes.cols() + 7) / 8;
  std::vector<uint8_t> bits(rows == 0 ? 0 : static_cast<size_t>((rows - 1) * row_bytes + used_bytes), 0xff);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < spikes.cols(); ++t) {
      if (spikes(r, t) == 0) bits[r * row_bytes + t / 8] &= static_cast<uint8_t>(~(1 << (t % 8)));
    }
  }
  return bits;
}

TEST(FirstSpikeIndex, IsThatOfTheDefinitionForAnyShapeThreadsAndInstructionSet) {
  testing::SplitExecutor split;
  for (const int rows : {0, 1, 2, 7, 31}) {
    for (const int steps : kSteps) {
      SCOPED_TRACE(absl::StrCat(rows, " rows of ", steps, " steps"));
      const RowMatrix<uint8_t> spikes = Spikes(rows, steps);
      const std::vector<int32_t> expected = Naive(spikes);
      testing::ForEachTarget([&] { EXPECT_EQ(*FirstSpikeIndex(spikes), expected); });
      EXPECT_EQ(*FirstSpikeIndex(spikes, split), expected);
    }
  }
}

TEST(FirstSpikeIndex, OfBitsIsThatOfBytesWhateverThePadding) {
  testing::SplitExecutor split;
  for (const int rows : {0, 1, 2, 7, 31}) {
    for (const int steps : kSteps) {
      for (const int64_t gap : {0, 1, 3, 70}) {
        SCOPED_TRACE(absl::StrCat(rows, " rows of ", steps, " steps, ", gap, " bytes apart"));
        const RowMatrix<uint8_t> spikes = Spikes(rows, steps);
        const std::vector<int32_t> expected = Naive(spikes);
        const int64_t row_bytes = (steps + 7) / 8 + gap;
        const std::vector<uint8_t> bits = Bits(spikes, row_bytes);
        const BitMatrixView view(bits.data(), rows, steps, row_bytes);
        testing::ForEachTarget([&] { EXPECT_EQ(*FirstSpikeIndex(view), expected); });
        EXPECT_EQ(*FirstSpikeIndex(view, split), expected);
      }
    }
  }
}

TEST(FirstSpikeIndex, EveryPlaceOfASingleSpikeIsFound) {
  for (const int steps : {1, 8, 13, 64, 100, 128, 130, 257, 700}) {
    RowMatrix<uint8_t> spikes = RowMatrix<uint8_t>::Zero(steps, steps);
    spikes.diagonal().setConstant(1);
    const std::vector<uint8_t> bits = Bits(spikes, (steps + 7) / 8);
    testing::ForEachTarget([&] {
      const auto index = FirstSpikeIndex(spikes);
      const auto of_bits = FirstSpikeIndex(BitMatrixView(bits.data(), steps, steps));
      for (int t = 0; t < steps; ++t) {
        EXPECT_EQ((*index)[t], t);
        EXPECT_EQ((*of_bits)[t], t);
      }
    });
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

TEST(FirstSpikeIndex, RefusesOtherValuesWhereverTheyAre) {
  for (const int steps : {1, 5, 16, 31, 64, 65, 129, 1000}) {
    for (const int t : {0, steps / 2, steps - 1}) {
      for (const uint8_t value : {2, 3, 128, 255}) {
        RowMatrix<uint8_t> spikes = RowMatrix<uint8_t>::Ones(4, steps);
        spikes(2, t) = value;
        testing::ForEachTarget([&] {
          EXPECT_EQ(testing::Refusal(FirstSpikeIndex(spikes).status(), "spikes"),
                    absl::StrCat("spikes: ", value, " in row 2 at step ", t, "; need only 0 and 1"));
        });
      }
    }
  }
}

TEST(FirstSpikeIndex, RefusesMoreStepsThanTheirNumbersHold) {
  const Eigen::Map<const RowMatrix<uint8_t>> bytes(nullptr, 0, int64_t{1} << 31);
  EXPECT_EQ(testing::Refusal(FirstSpikeIndex(bytes).status(), "spikes"),
            "spikes: 2147483648 steps; need fewer than 2^31 steps");
  testing::Refusal(FirstSpikeIndex(BitMatrixView(nullptr, 0, int64_t{1} << 31)).status(), "spikes");
}

TEST(FirstSpikeMask, IsTrueAtTheIndexOfEachRow) {
  testing::SplitExecutor split;
  for (const int rows : testing::kSizes) {
    for (const int steps : testing::kSizes) {
      std::vector<int32_t> index;
      for (int r = 0; r < rows; ++r) index.push_back(r * 7 % (steps + 1) - 1);
      const int row_bytes = (steps + 7) / 8;
      for (Executor* executor : {&InlineExecutor(), static_cast<Executor*>(&split)}) {
        std::vector<uint8_t> bytes(static_cast<size_t>(rows * steps), 7);
        WriteFirstSpikeMask(index, steps, absl::MakeSpan(bytes), *executor);
        std::vector<uint8_t> bits(static_cast<size_t>(rows * row_bytes), 0xff);
        WriteFirstSpikeBitMask(index, steps, absl::MakeSpan(bits), *executor);
        for (int r = 0; r < rows; ++r) {
          for (int t = 0; t < 8 * row_bytes; ++t) {
            if (t < steps) {
              EXPECT_EQ(bytes[r * steps + t], index[r] == t);
            }
            EXPECT_EQ(bits[r * row_bytes + t / 8] >> (t % 8) & 1, index[r] == t);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace spikeserve

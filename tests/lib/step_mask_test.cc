#include "spikeserve/compute/step_mask.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;

TEST(StepMask, IsTrueAtTheStepOfEachNeuron) {
  std::vector<uint8_t> mask(2 * 3, 7);
  WriteStepMask({1, -1, 0}, 2, absl::MakeSpan(mask));
  EXPECT_THAT(mask, ElementsAre(0, 0, 1, 1, 0, 0));
}

TEST(StepMask, IsThatOfTheIndexForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  for (const int neurons : testing::kSizes) {
    for (const int steps : {1, 2, 5, 64}) {
      std::vector<int32_t> index;
      for (int n = 0; n < neurons; ++n) index.push_back(n * 7 % (steps + 1) - 1);
      const int row_bytes = (neurons + 7) / 8;
      for (Executor* executor : {&InlineExecutor(), static_cast<Executor*>(&split)}) {
        std::vector<uint8_t> bytes(static_cast<size_t>(steps * neurons), 7);
        WriteStepMask(index, steps, absl::MakeSpan(bytes), *executor);
        std::vector<uint8_t> bits(static_cast<size_t>(steps * row_bytes), 0xff);
        WriteStepBitMask(index, steps, absl::MakeSpan(bits), *executor);
        for (int t = 0; t < steps; ++t) {
          for (int n = 0; n < 8 * row_bytes; ++n) {
            const int expected = n < neurons && index[n] == t;
            if (n < neurons) {
              EXPECT_EQ(bytes[t * neurons + n], expected) << "step " << t << ", neuron " << n;
            }
            EXPECT_EQ(bits[t * row_bytes + n / 8] >> (n % 8) & 1, expected) << "step " << t << ", neuron " << n;
          }
        }
      }
    }
  }
}

TEST(StepMask, MayHaveNoSteps) {
  std::vector<uint8_t> mask;
  WriteStepMask({-1, -1}, 0, absl::MakeSpan(mask));
  WriteStepBitMask({-1, -1}, 0, absl::MakeSpan(mask));
  EXPECT_TRUE(mask.empty());
}

}  // namespace
}  // namespace spikeserve

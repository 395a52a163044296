#include "spikeserve/compute/redundant_one_hot.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAreArray;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(RedundantOneHot, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("redundant_one_hot")) {
    const int64_t num_classes = golden.params["num_classes"];
    const int64_t n = golden.params["n"];
    const auto labels = golden.inputs.at("labels").values<int64_t>();
    std::vector<float> codes(labels.size() * static_cast<size_t>(num_classes * n), 7.0f);
    ASSERT_TRUE(RedundantOneHot(labels, num_classes, n, absl::MakeSpan(codes)).ok());
    EXPECT_THAT(codes, ElementsAreArray(golden.outputs.at("codes").values<float>())) << golden.name;
  }
}

TEST(RedundantOneHot, HasOnesFromLabelTimesNOn) {
  for (const int64_t rows : testing::kSizes) {
    for (const int64_t n : {1, 2, 5}) {
      const int64_t num_classes = 7;
      std::vector<int64_t> labels;
      for (int64_t b = 0; b < rows; ++b) labels.push_back(b * 5 % num_classes);
      std::vector<uint8_t> codes(static_cast<size_t>(rows * num_classes * n), 7);
      ASSERT_TRUE(RedundantOneHot(labels, num_classes, n, absl::MakeSpan(codes)).ok());
      for (int64_t i = 0; i < static_cast<int64_t>(codes.size()); ++i) {
        const int64_t row = i / (num_classes * n);
        EXPECT_EQ(codes[i], i % (num_classes * n) / n == labels[row]);
      }
    }
  }
}

TEST(RedundantOneHot, RefusesLabelsOutsideOfTheClasses) {
  std::vector<float> codes(6);
  EXPECT_EQ(testing::Refusal(RedundantOneHot({1, 3}, 3, 1, absl::MakeSpan(codes)), "labels"),
            "labels: labels[1] is 3; need labels in [0, num_classes) = [0, 3)");
  testing::Refusal(RedundantOneHot({-1, 0}, 3, 1, absl::MakeSpan(codes)), "labels");
}

TEST(RedundantOneHot, RefusesWidthsThatDoNotExist) {
  testing::Refusal(RedundantOneHotWidth(0, 1).status(), "num_classes");
  testing::Refusal(RedundantOneHotWidth(1, 0).status(), "n");
  testing::Refusal(RedundantOneHotWidth(1, -3).status(), "n");
  testing::Refusal(RedundantOneHotWidth(kMax, 2).status(), "n");
  EXPECT_EQ(*RedundantOneHotWidth(kMax, 1), kMax);
}

TEST(RedundantOneHot, RefusesCodesOfAnotherSize) {
  std::vector<float> codes(5);
  testing::Refusal(RedundantOneHot({0, 1}, 3, 1, absl::MakeSpan(codes)), "codes");
  testing::Refusal(RedundantOneHot({0, 1}, kMax, 1, absl::MakeSpan(codes)), "codes");
}

}  // namespace
}  // namespace spikeserve

#include "spikeserve/compute/threshold_margin.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

TEST(ThresholdMargin, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("set_threshold_margin")) {
    const ThresholdMarginOptions options{golden.params["eval_threshold"], golden.params["threshold0"],
                                         golden.params["threshold1"]};
    const std::vector<double> expected = golden.outputs.at("v_threshold").ToDoubles();
    if (!golden.params["training"].get<bool>()) {
      EXPECT_THAT(expected, ElementsAre(static_cast<float>(options.eval_threshold)));
      continue;
    }
    const std::vector<double> labels = golden.inputs.at("label_one_hot").ToDoubles();
    std::vector<float> thresholds(labels.size());
    ASSERT_TRUE(TrainingThresholds(labels, options, absl::MakeSpan(thresholds)).ok());
    EXPECT_THAT(thresholds, ElementsAreArray(expected)) << golden.name;
  }
}

TEST(ThresholdMargin, OnlyOnesAreRightClasses) {
  std::vector<float> thresholds(4);
  ASSERT_TRUE(TrainingThresholds({1, 0, 2, -1}, {}, absl::MakeSpan(thresholds)).ok());
  EXPECT_THAT(thresholds, ElementsAre(1.1f, 0.9f, 0.9f, 0.9f));
}

TEST(ThresholdMargin, RefusesNan) {
  EXPECT_EQ(testing::Refusal(CheckThresholdMargin({.threshold0 = NAN}), "threshold0"),
            "threshold0: NaN; need a number");
  testing::Refusal(CheckThresholdMargin({.eval_threshold = NAN}), "eval_threshold");
  testing::Refusal(TrainingThresholds({}, {.threshold1 = NAN}, {}), "threshold1");
}

TEST(ThresholdMargin, RefusesAnotherSize) {
  std::vector<float> thresholds(3);
  testing::Refusal(TrainingThresholds({1, 0}, {}, absl::MakeSpan(thresholds)), "v_threshold");
}

}  // namespace
}  // namespace spikeserve

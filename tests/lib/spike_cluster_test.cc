#include "spikeserve/compute/spike_cluster.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"
#include "lib/spike_cluster_testing.h"

namespace spikeserve {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr SpikeClusterOptions kReference{.t_in = 1};
constexpr SpikeClusterOptions kDefinition{.t_in = 1, .rule = ClusterRule::kDefinition};

SpikeClusterOptions WithTIn(SpikeClusterOptions options, int64_t t_in) {
  options.t_in = t_in;
  return options;
}

// The clusters of one neuron with threshold 1.
SpikeClusters OfNeuron(const std::vector<float>& v, const SpikeClusterOptions& options) {
  const float threshold = 1;
  const auto result = SpikeCluster<float>(
      Eigen::Map<const RowMatrix<float>>(v.data(), static_cast<Eigen::Index>(v.size()), 1), {&threshold, 1}, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return *result;
}

absl::Status StatusOf(const RowMatrix<float>& v, const std::vector<float>& threshold,
                      const SpikeClusterOptions& options) {
  return SpikeCluster<float>(v, threshold, options).status();
}

template <typename Scalar>
void CompareWithNaive(const RowMatrix<Scalar>& v, int64_t t_in) {
  SCOPED_TRACE(absl::StrCat("T = ", v.rows(), ", N = ", v.cols(), ", t_in = ", t_in));
  const RowMatrix<Scalar> thresholds = testing::RandomNormal<Scalar>(1, v.cols(), 5).cwiseAbs();
  const std::vector<Scalar> per_neuron(thresholds.data(), thresholds.data() + v.cols());
  testing::SplitExecutor split;
  for (const ClusterRule rule : {ClusterRule::kReference, ClusterRule::kDefinition}) {
    const SpikeClusterOptions options{.t_in = t_in, .rule = rule};
    for (const std::vector<Scalar>& threshold : {per_neuron, std::vector<Scalar>{1}}) {
      const SpikeClusters expected = testing::NaiveSpikeClusters(v, threshold, options);
      testing::ForEachTarget([&] { testing::ExpectEqual(*SpikeCluster<Scalar>(v, threshold, options), expected); });
      testing::ExpectEqual(*SpikeCluster<Scalar>(v, threshold, options, split), expected);
    }
  }
}

TEST(SpikeCluster, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("spike_cluster")) {
    SCOPED_TRACE(golden.name);
    const RowMatrix<float> v = golden.inputs.at("v").matrix<float>();
    std::vector<float> threshold;
    if (golden.params.contains("v_threshold")) {
      threshold = {golden.params["v_threshold"].get<float>()};
    } else {
      const auto values = golden.inputs.at("v_threshold").values<float>();
      threshold.assign(values.begin(), values.end());
    }
    const auto result = SpikeCluster<float>(v, threshold, {.t_in = golden.params["t_in"]});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(result->n_o, ::testing::ElementsAreArray(golden.outputs.at("n_o").values<float>()));
    const auto k_positive = golden.outputs.at("k_positive").matrix<bool>();
    const auto k_negative = golden.outputs.at("k_negative").matrix<bool>();
    for (int t = 0; t < v.rows(); ++t) {
      for (int n = 0; n < v.cols(); ++n) {
        EXPECT_EQ(result->k_positive[n] == t, k_positive(t, n));
        EXPECT_EQ(result->k_negative[n] == t, k_negative(t, n));
      }
    }
  }
}

TEST(SpikeCluster, IsThatOfTheDefinitionForAnyShapeTypeThreadsAndInstructionSet) {
  for (const int steps : testing::kSizes) {
    for (const int neurons : testing::kSizes) {
      const uint32_t seed = static_cast<uint32_t>(steps * 1000 + neurons);
      for (const int64_t t_in : {0, 1, 2, 5, 64, 200}) {
        if (neurons % 2 == 0) {
          CompareWithNaive(testing::CorneredVoltages<float>(steps, neurons, seed), t_in);
        } else {
          CompareWithNaive(testing::RandomNormal<float>(steps, neurons, seed), t_in);
        }
      }
      CompareWithNaive(testing::CorneredVoltages<double>(steps, neurons, seed), neurons % 4);
    }
  }
}

TEST(SpikeCluster, BlocksOfNeuronsMeet) {
  for (const int neurons : {255, 256, 257, 511, 512, 513, 1031}) {
    CompareWithNaive(testing::CorneredVoltages<float>(17, neurons, 3), 2);
    CompareWithNaive(testing::CorneredVoltages<double>(9, neurons, 3), 0);
  }
}

TEST(SpikeCluster, RowsMayBeApart) {
  const RowMatrix<float> wide = testing::RandomNormal<float>(19, 97, 8);
  for (const int first : {0, 1, 5}) {
    for (const int neurons : {1, 31, 90}) {
      const RowMatrix<float> v = wide.middleCols(first, neurons);
      testing::ExpectEqual(*SpikeCluster<float>(wide.middleCols(first, neurons), {0.5f}, kReference),
                           testing::NaiveSpikeClusters<float>(v, {0.5f}, kReference));
    }
  }
}

TEST(SpikeCluster, CountsBeyondSixteenBits) {
  std::vector<float> v(66'010 + 66'001, 1.0f);
  // A cluster of 66,000 spikes, and one of 66,001, and a gap between them in which 0.5 is the best.
  for (int t = 66'000; t < 66'010; ++t) v[t] = 0;
  v[66'005] = 0.5f;
  const SpikeClusters clusters = OfNeuron(v, WithTIn(kDefinition, 2));
  EXPECT_THAT(clusters.n_o, ElementsAre(2));
  EXPECT_THAT(clusters.k_negative, ElementsAre(65'999));
  EXPECT_THAT(clusters.k_positive, ElementsAre(66'005));
}

TEST(SpikeCluster, AZeroAtAThresholdOfZeroIsASpikeWhateverItsSign) {
  const float threshold = -0.0f;
  RowMatrix<float> v(4, 1);
  v << -1, 0.0f, -1, -0.0f;
  EXPECT_THAT(SpikeCluster<float>(v, {&threshold, 1}, WithTIn(kDefinition, 0))->n_o, ElementsAre(2));
  v << -0.0f, 0.0f, 0.0f, -0.0f;  // All equal the minimum.
  EXPECT_THAT(SpikeCluster<float>(v, {1.0f}, kReference)->k_positive, ElementsAre(0));
}

TEST(SpikeCluster, SpikesUpToTInApartAreOneCluster) {
  EXPECT_THAT(OfNeuron({1, 0, 0, 1, 0, 0, 0, 1}, WithTIn(kDefinition, 3)).n_o, ElementsAre(2));
  EXPECT_THAT(OfNeuron({1, 0, 0, 1, 0, 0, 0, 1}, WithTIn(kDefinition, 4)).n_o, ElementsAre(1));
}

TEST(SpikeCluster, OfEqualClustersTheEarliestIsTheSmallest) {
  EXPECT_THAT(OfNeuron({1, 1, 0, 0, 1, 0, 0, 1}, kReference).k_negative, ElementsAre(4));
}

TEST(SpikeCluster, OfEqualCandidatesTheEarliestIsTheBest) {
  EXPECT_THAT(OfNeuron({0, 0.5, 0.7f, 0.7f, 0.1f}, kReference).k_positive, ElementsAre(2));
}

TEST(SpikeCluster, AVoltageAtTheThresholdIsASpike) {
  EXPECT_THAT(OfNeuron({std::nextafter(1.0f, 0.0f), 1}, WithTIn(kDefinition, 0)).k_negative, ElementsAre(1));
}

TEST(SpikeCluster, AtTInZeroTheReferenceSkipsStepZero) {
  const std::vector<float> v = {2, 0, 1.5, 0.5};
  const SpikeClusters reference = OfNeuron(v, WithTIn(kReference, 0));
  EXPECT_THAT(reference.n_o, ElementsAre(1));
  EXPECT_THAT(reference.k_negative, ElementsAre(2));
  const SpikeClusters definition = OfNeuron(v, WithTIn(kDefinition, 0));
  EXPECT_THAT(definition.n_o, ElementsAre(2));
  EXPECT_THAT(definition.k_negative, ElementsAre(0));
  EXPECT_THAT(OfNeuron({0.9f, 0, 0.5}, WithTIn(kReference, 0)).k_positive, ElementsAre(2));
  EXPECT_THAT(OfNeuron({0.9f, 0, 0.5}, WithTIn(kDefinition, 0)).k_positive, ElementsAre(0));
}

TEST(SpikeCluster, ACandidateAtTheMinimumOfTheTensorCountsOnlyByDefinition) {
  const std::vector<float> v = {0, 2, 2, 2, 2};
  EXPECT_THAT(OfNeuron(v, WithTIn(kReference, 0)).k_positive, ElementsAre(-1));
  const std::vector<float> late = {2, 2, 2, 2, 0};
  EXPECT_THAT(OfNeuron(late, WithTIn(kReference, 0)).k_positive, ElementsAre(-1));
  EXPECT_THAT(OfNeuron(late, WithTIn(kDefinition, 0)).k_positive, ElementsAre(4));
}

TEST(SpikeCluster, WhereAllVoltagesAreTheMinimumKPositiveIsStepZero) {
  EXPECT_THAT(OfNeuron({3, 3, 3}, kReference).k_positive, ElementsAre(0));
  EXPECT_THAT(OfNeuron({3, 3, 3}, kDefinition).k_positive, ElementsAre(-1));
  EXPECT_THAT(OfNeuron({-kInf, -kInf}, kReference).k_positive, ElementsAre(0));
}

TEST(SpikeCluster, ABlockOfNeuronsWithTheMinimumOfAllIsAsInTheWhole) {
  RowMatrix<float> v = testing::RandomNormal<float>(20, 40, 3);
  v = (v.array() * 2).round() / 2;
  v.rightCols(3).setConstant(-7);
  const std::vector<float> threshold = {1};
  const SpikeClusters whole = *SpikeCluster<float>(v, threshold, kReference);
  SpikeClusterOptions options = kReference;
  options.v_min = -7;
  const SpikeClusters block = *SpikeCluster<float>(v.middleCols(10, 15), threshold, options);
  for (size_t n = 0; n < 15; ++n) {
    EXPECT_EQ(block.k_positive[n], whole.k_positive[n + 10]);
    EXPECT_EQ(block.k_negative[n], whole.k_negative[n + 10]);
  }
}

TEST(SpikeCluster, TakesInfiniteVoltages) {
  EXPECT_THAT(OfNeuron({kInf, 0, -kInf, -kInf}, kDefinition).k_positive, ElementsAre(2));
  EXPECT_THAT(OfNeuron({kInf, 0, -kInf, -kInf}, kReference).k_positive, ElementsAre(-1));
  EXPECT_THAT(OfNeuron({kInf, kInf}, kDefinition).n_o, ElementsAre(1));
  const RowMatrix<float> v = RowMatrix<float>::Constant(3, 2, kInf);
  EXPECT_THAT(SpikeCluster<float>(v, {kInf}, kDefinition)->n_o, Each(1));
}

TEST(SpikeCluster, TakesTInBeyondAllSteps) {
  for (const int64_t t_in : {int64_t{3}, int64_t{4}, int64_t{1} << 40, std::numeric_limits<int64_t>::max()}) {
    const SpikeClusters clusters = OfNeuron({1, 0, 0, 2}, WithTIn(kReference, t_in));
    EXPECT_THAT(clusters.n_o, ElementsAre(1));
    EXPECT_THAT(clusters.k_positive, ElementsAre(-1));
    EXPECT_THAT(clusters.k_negative, ElementsAre(3));
    EXPECT_THAT(OfNeuron({0.2f, 0, 0.7f, 0.3f}, WithTIn(kReference, t_in)).k_positive, ElementsAre(2));
  }
}

TEST(SpikeCluster, EmptyTensorsGiveEmptyResults) {
  EXPECT_THAT(SpikeCluster<float>(RowMatrix<float>(5, 0), {}, kReference)->n_o, IsEmpty());
  const auto no_steps = SpikeCluster<float>(RowMatrix<float>(0, 2), {1}, kReference);
  ASSERT_TRUE(no_steps.ok());
  EXPECT_THAT(no_steps->n_o, ElementsAre(0, 0));
  EXPECT_THAT(no_steps->k_positive, ElementsAre(-1, -1));
  EXPECT_THAT(no_steps->k_negative, ElementsAre(-1, -1));
}

TEST(SpikeCluster, RefusesNanWhereverItIs) {
  RowMatrix<float> v = RowMatrix<float>::Ones(17, 599);
  for (const int step : {0, 7, 8, 16}) {
    for (const int neuron : {0, 511, 512, 575, 591, 595, 597, 598}) {
      RowMatrix<float> with_nan = v;
      with_nan(step, neuron) = NAN;
      with_nan(16, 598) = NAN;
      for (const int64_t t_in : {0, 2, 100}) {
        testing::ForEachTarget([&] {
          EXPECT_THAT(testing::Refusal(StatusOf(with_nan, {1}, WithTIn(kReference, t_in)), "v"),
                      HasSubstr(absl::StrCat("NaN at step ", step, " of neuron ", neuron)));
        });
      }
    }
  }
}

TEST(SpikeCluster, RefusesBadOperands) {
  const RowMatrix<float> v = RowMatrix<float>::Zero(4, 3);
  EXPECT_EQ(testing::Refusal(StatusOf(v, {1, 1}, kReference), "v_threshold"),
            "v_threshold: 2 elements; need 1, or one for each of the 3 neurons of v");
  testing::Refusal(StatusOf(v, {}, kReference), "v_threshold");
  testing::Refusal(StatusOf(v, {1, NAN, 1}, kReference), "v_threshold");
  EXPECT_EQ(testing::Refusal(StatusOf(v, {1}, WithTIn(kReference, -1)), "t_in"), "t_in: -1; need >= 0");
  SpikeClusterOptions options = kReference;
  options.v_min = 0.5;
  testing::Refusal(StatusOf(v, {1}, options), "v_min");
  options.v_min = NAN;
  testing::Refusal(StatusOf(v, {1}, options), "v_min");
}

}  // namespace
}  // namespace spikeserve

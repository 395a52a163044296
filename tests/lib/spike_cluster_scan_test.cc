#include "spikeserve/compute/spike_cluster_scan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"
#include "lib/spike_cluster_testing.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kMaxSteps = std::numeric_limits<int32_t>::max();

template <typename Scalar>
SpikeClusterScan<Scalar> NewScan(int64_t neurons, const std::vector<Scalar>& threshold,
                                 const SpikeClusterOptions& options) {
  auto scan = SpikeClusterScan<Scalar>::Create(neurons, threshold, options);
  EXPECT_TRUE(scan.ok()) << scan.status();
  return *std::move(scan);
}

// The lengths of pieces, some of them 0, that make up `steps`.
std::vector<int64_t> RandomSplit(int64_t steps, std::mt19937& random) {
  const int64_t longest = 1 + static_cast<int64_t>(random()) % std::max<int64_t>(1, steps);
  std::vector<int64_t> pieces;
  for (int64_t left = steps; left > 0; left -= pieces.back()) {
    pieces.push_back(std::min(left, static_cast<int64_t>(random()) % (longest + 1)));
  }
  return pieces;
}

// Adds all rows in random pieces; the last of them by Finish where `last_by_finish`.
template <typename Scalar>
SpikeClusters InPieces(const RowMatrix<Scalar>& v, const std::vector<Scalar>& threshold,
                       const SpikeClusterOptions& options, Executor& executor, bool last_by_finish,
                       std::mt19937& random) {
  auto scan = NewScan<Scalar>(v.cols(), threshold, options);
  const std::vector<int64_t> pieces = RandomSplit(v.rows(), random);
  int64_t t = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    // A copy, so that a view that is kept would be seen.
    const RowMatrix<Scalar> rows = v.middleRows(t, pieces[i]);
    if (last_by_finish && i + 1 == pieces.size()) return *scan.Finish(rows, executor);
    EXPECT_TRUE(scan.Add(rows, executor).ok());
    t += pieces[i];
    EXPECT_EQ(scan.steps(), t);
  }
  return *scan.Finish(executor);
}

template <typename Scalar>
void CompareWithOnePiece(const RowMatrix<Scalar>& v, const SpikeClusterOptions& options, std::mt19937& random) {
  SCOPED_TRACE(absl::StrCat("T = ", v.rows(), ", N = ", v.cols(), ", t_in = ", options.t_in,
                            ", rule = ", static_cast<int>(options.rule)));
  const RowMatrix<Scalar> thresholds = testing::RandomNormal<Scalar>(1, v.cols(), 5).cwiseAbs();
  const std::vector<Scalar> per_neuron(thresholds.data(), thresholds.data() + v.cols());
  testing::SplitExecutor split;
  for (const std::vector<Scalar>& threshold : {per_neuron, std::vector<Scalar>{1}}) {
    const SpikeClusters expected = testing::NaiveSpikeClusters(v, threshold, options);
    testing::ExpectEqual(*SpikeCluster<Scalar>(v, threshold, options), expected);
    testing::ExpectEqual(InPieces(v, threshold, options, InlineExecutor(), false, random), expected);
    testing::ExpectEqual(InPieces(v, threshold, options, InlineExecutor(), true, random), expected);
    testing::ExpectEqual(InPieces(v, threshold, options, split, true, random), expected);
  }
}

TEST(SpikeClusterScan, AnySplitOfTheRowsGivesTheClustersOfOnePiece) {
  std::mt19937 random(7);
  for (const int steps : {0, 1, 2, 7, 8, 9, 31, 65, 127}) {
    for (const int neurons : {0, 1, 13, 33, 65}) {
      for (const int64_t t_in : {int64_t{0}, int64_t{1}, int64_t{3}, int64_t{8}, int64_t{17}, int64_t{200},
                                 std::numeric_limits<int64_t>::max()}) {
        for (const ClusterRule rule : {ClusterRule::kReference, ClusterRule::kDefinition}) {
          const SpikeClusterOptions options{.t_in = t_in, .rule = rule};
          CompareWithOnePiece(testing::CorneredVoltages<float>(steps, neurons, random()), options, random);
          CompareWithOnePiece(testing::RandomNormal<double>(steps, neurons, random()), options, random);
        }
      }
    }
  }
}

TEST(SpikeClusterScan, BlocksOfNeuronsMeet) {
  std::mt19937 random(7);
  for (const int neurons : {511, 512, 513, 1031}) {
    for (const int64_t t_in : {0, 2, 100}) {
      CompareWithOnePiece(testing::CorneredVoltages<float>(21, neurons, random()), {.t_in = t_in}, random);
    }
  }
}

TEST(SpikeClusterScan, EveryInstructionSetGivesTheSame) {
  std::mt19937 random(7);
  const RowMatrix<float> v = testing::CorneredVoltages<float>(50, 79, 4);
  for (const int64_t t_in : {0, 1, 9}) {
    const SpikeClusters expected = testing::NaiveSpikeClusters<float>(v, {0.5f}, {.t_in = t_in});
    testing::ForEachTarget([&] {
      testing::ExpectEqual(InPieces<float>(v, {0.5f}, {.t_in = t_in}, InlineExecutor(), true, random), expected);
    });
  }
}

TEST(SpikeClusterScan, TheMinimumOfTheTensorCountsAlsoWhenItComesLast) {
  // A candidate at the minimum of the first rows, which is not that of all.
  RowMatrix<float> v(3, 2);
  v << 2, 0.5f,  //
      0, 0.5f,   //
      2, 0.5f;
  const SpikeClusterOptions options{.t_in = 0};
  auto scan = NewScan<float>(2, {1.0f}, options);
  ASSERT_TRUE(scan.Add(v).ok());
  EXPECT_THAT(scan.Finish()->k_positive, ElementsAre(-1, 1));
  ASSERT_TRUE(scan.Add(RowMatrix<float>::Constant(1, 2, -1)).ok());
  EXPECT_THAT(scan.Finish()->k_positive, ElementsAre(1, 1));
}

TEST(SpikeClusterScan, AGivenMinimumIsHeldAgainstAllRows) {
  const SpikeClusterOptions options{.t_in = 1, .v_min = -2};
  auto scan = NewScan<float>(3, {1.0f}, options);
  ASSERT_TRUE(scan.Add(RowMatrix<float>::Constant(2, 3, -2)).ok());
  EXPECT_THAT(scan.Finish()->k_positive, ElementsAre(0, 0, 0));
  EXPECT_EQ(testing::Refusal(scan.Finish(RowMatrix<float>::Constant(1, 3, -2.5f)).status(), "v_min"),
            "v_min: -2; need at most the minimum of v, -2.5");
  EXPECT_TRUE(scan.Finish().ok());
}

TEST(SpikeClusterScan, ResultsOnTheWayAreThoseOfTheRowsSoFar) {
  const RowMatrix<float> v = testing::CorneredVoltages<float>(40, 37, 9);
  for (const int64_t t_in : {0, 1, 6, 100}) {
    const SpikeClusterOptions options{.t_in = t_in};
    auto scan = NewScan<float>(v.cols(), {0.5f}, options);
    for (int t = 0; t < v.rows(); t += 5) {
      testing::ExpectEqual(*scan.Finish(), *SpikeCluster<float>(v.topRows(t), {0.5f}, options));
      testing::ExpectEqual(*scan.Finish(v.middleRows(t, 5)), *SpikeCluster<float>(v.topRows(t + 5), {0.5f}, options));
      ASSERT_TRUE(scan.Add(v.middleRows(t, 5)).ok());
    }
    testing::ExpectEqual(*scan.Finish(), *SpikeCluster<float>(v, {0.5f}, options));
  }
}

TEST(SpikeClusterScan, HoldsBytesForNeuronsAndTheLastTInRowsOnly) {
  const int64_t neurons = 1000;
  const int64_t t_in = 20;
  auto scan = NewScan<float>(neurons, {1.0f}, {.t_in = t_in});
  EXPECT_LT(scan.ByteSize(), 1000);
  std::vector<int64_t> foreseen;
  for (int64_t t = 0; t <= 100; ++t) foreseen.push_back(scan.ByteSizeAfter(t));
  for (int64_t t = 0; t < 100; ++t) {
    EXPECT_EQ(scan.ByteSize(), foreseen[t]);
    EXPECT_EQ(scan.ByteSizeAfter(100 - t), foreseen[100]);
    ASSERT_TRUE(scan.Add(RowMatrix<float>::Zero(1, neurons)).ok());
  }
  EXPECT_EQ(foreseen[20], foreseen[100]);
  EXPECT_GE(foreseen[100], neurons * (36 + 4 * t_in));
  EXPECT_LE(foreseen[100], neurons * (44 + 4 * t_in) + 2000);
  // Few rows do not cost t_in.
  const auto patient = NewScan<float>(neurons, {1.0f}, {.t_in = int64_t{1} << 60});
  EXPECT_LE(patient.ByteSizeAfter(100), neurons * (44 + 4 * 128) + 2000);
  const auto huge = NewScan<float>(int64_t{1} << 62, {1.0f}, {.t_in = 1});
  EXPECT_EQ(huge.ByteSizeAfter(1), std::numeric_limits<int64_t>::max());
}

TEST(SpikeClusterScan, RefusesNanAtItsStepAndFromThenOn) {
  for (const int64_t t_in : {0, 3, 100}) {
    auto scan = NewScan<float>(40, {1.0f}, {.t_in = t_in});
    ASSERT_TRUE(scan.Add(RowMatrix<float>::Ones(11, 40)).ok());
    RowMatrix<float> rows = RowMatrix<float>::Ones(5, 40);
    rows(3, 0) = NAN;
    rows(2, 39) = NAN;
    const std::string message = "NaN at step 13 of neuron 39";
    // Where the rows are not taken, nothing has happened.
    EXPECT_THAT(testing::Refusal(scan.Finish(rows).status(), "v"), HasSubstr(message));
    EXPECT_TRUE(scan.Finish().ok());
    EXPECT_THAT(testing::Refusal(scan.Add(rows), "v"), HasSubstr(message));
    EXPECT_THAT(testing::Refusal(scan.Add(RowMatrix<float>::Ones(1, 40)), "v"), HasSubstr(message));
    EXPECT_THAT(testing::Refusal(scan.Finish().status(), "v"), HasSubstr(message));
  }
}

TEST(SpikeClusterScan, InfinitiesOfBothSignsAreNumbers) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  RowMatrix<float> v(4, 1);
  v << kInf, -kInf, kInf, -kInf;
  auto scan = NewScan<float>(1, {1.0f}, {.t_in = 0, .rule = ClusterRule::kDefinition});
  ASSERT_TRUE(scan.Add(v).ok());
  const auto clusters = scan.Finish(v);
  ASSERT_TRUE(clusters.ok());
  EXPECT_THAT(clusters->n_o, ElementsAre(4));
  EXPECT_THAT(clusters->k_positive, ElementsAre(1));
}

TEST(SpikeClusterScan, RefusesRowsOfOtherNeuronsAndTakesNothing) {
  auto scan = NewScan<float>(4, {1.0f}, {.t_in = 1});
  EXPECT_EQ(testing::Refusal(scan.Add(RowMatrix<float>::Zero(2, 3)), "v"),
            "v: 3 neurons; need 4 neurons in every piece");
  testing::Refusal(scan.Finish(RowMatrix<float>::Zero(2, 5)).status(), "v");
  EXPECT_EQ(scan.steps(), 0);
  EXPECT_TRUE(scan.Add(RowMatrix<float>::Zero(2, 4)).ok());
}

TEST(SpikeClusterScan, RefusesMoreStepsThanTheirNumbersHold) {
  // Without neurons, so that rows take no memory.
  const Eigen::Map<const RowMatrix<float>> most(nullptr, kMaxSteps, 0);
  const Eigen::Map<const RowMatrix<float>> one_more(nullptr, kMaxSteps + 1, 0);
  for (const int64_t t_in : {int64_t{1}, kMaxSteps * 2}) {
    auto scan = NewScan<float>(0, {1.0f}, {.t_in = t_in});
    EXPECT_EQ(testing::Refusal(scan.Add(one_more), "v"), "v: 2147483648 steps; need fewer than 2^31 steps");
    ASSERT_TRUE(scan.Add(most).ok());
    EXPECT_EQ(testing::Refusal(scan.Add(RowMatrix<float>(2, 0)), "v"),
              "v: 2147483649 steps; need fewer than 2^31 steps");
    EXPECT_TRUE(scan.Finish().ok());
  }
}

TEST(SpikeClusterScan, RefusesBadOperands) {
  const auto status = [](int64_t neurons, const std::vector<float>& threshold, const SpikeClusterOptions& options) {
    return SpikeClusterScan<float>::Create(neurons, threshold, options).status();
  };
  testing::Refusal(status(-1, {1}, {}), "neurons");
  testing::Refusal(status(3, {1, 1}, {}), "v_threshold");
  testing::Refusal(status(3, {}, {}), "v_threshold");
  testing::Refusal(status(2, {1, NAN}, {}), "v_threshold");
  testing::Refusal(status(2, {1}, {.t_in = -1}), "t_in");
  testing::Refusal(status(2, {1}, {.v_min = NAN}), "v_min");
}

TEST(SpikeClusterScan, Moves) {
  const RowMatrix<float> v = testing::RandomNormal<float>(20, 5, 1);
  auto scan = NewScan<float>(5, {0.5f}, {.t_in = 3});
  ASSERT_TRUE(scan.Add(v.topRows(10)).ok());
  auto other = NewScan<float>(1, {0.5f}, {.t_in = 1});
  other = std::move(scan);
  testing::ExpectEqual(*other.Finish(v.bottomRows(10)), *SpikeCluster<float>(v, {0.5f}, {.t_in = 3}));
}

}  // namespace
}  // namespace spikeserve

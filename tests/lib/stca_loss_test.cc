#include "spikeserve/compute/stca_loss.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "spikeserve/compute/spike_cluster.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;

TEST(StcaLoss, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("spike_cluster")) {
    SCOPED_TRACE(golden.name);
    const RowMatrix<float> v = golden.inputs.at("v").matrix<float>();
    const std::vector<double> given = golden.params.contains("v_threshold")
                                          ? std::vector<double>{golden.params["v_threshold"].get<double>()}
                                          : golden.inputs.at("v_threshold").ToDoubles();
    const std::vector<float> threshold(given.begin(), given.end());
    const std::vector<double> n_d = golden.inputs.at("n_d").ToDoubles();
    RowMatrix<float> grad = RowMatrix<float>::Constant(v.rows(), v.cols(), 7);
    const auto result = StcaLoss<float>(v, threshold, golden.params["t_in"], n_d, MutableMatrixView<float>(grad));
    ASSERT_TRUE(result.ok()) << result.status();
    const RowMatrix<float> expected_grad = golden.outputs.at("stca_grad_at_step").matrix<float>();
    EXPECT_EQ(grad, expected_grad);
    // The loss is linear in the voltages at those steps.
    const double exact = (expected_grad.cast<double>().array() * (v.cast<double>().array() - 1)).sum();
    EXPECT_TRUE(testing::IsWithinTolerance(result->loss, golden.outputs.at("stca_loss_at_step").ToDoubles()[0], exact));
  }
}

TEST(StcaLoss, PullsNeuronsTowardsTheWantedNumberOfClusters) {
  RowMatrix<double> v(4, 3);
  v << 2.0, 0.2, 0.1,  //
      0.0, 0.6, 0.1,   //
      0.0, 0.3, 0.1,   //
      1.5, 0.2, 1.0;
  RowMatrix<double> grad(4, 3);
  const auto result = StcaLoss<double>(v, {1.0}, 1, {1.0}, MutableMatrixView<double>(grad));
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(result->n_o, ElementsAre(2, 0, 1));
  EXPECT_DOUBLE_EQ(result->loss, (2.0 - 1) + (1 - 0.6));
  RowMatrix<double> expected = RowMatrix<double>::Zero(4, 3);
  expected(0, 0) = 1;
  expected(1, 1) = -1;
  EXPECT_EQ(grad, expected);
}

TEST(StcaLoss, IsTheSumOverTheClustersForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  for (const int steps : testing::kSizes) {
    for (const int neurons : testing::kSizes) {
      const RowMatrix<float> v = testing::RandomNormal<float>(steps, neurons, static_cast<uint32_t>(steps + neurons));
      const SpikeClusters clusters = *SpikeCluster<float>(v, {0.8f}, {.t_in = 2});
      std::vector<double> n_d;
      double loss = 0;
      for (int n = 0; n < neurons; ++n) {
        n_d.push_back(n % 5);
        const int positive = clusters.k_positive[n];
        const int negative = clusters.k_negative[n];
        if (clusters.n_o[n] > n_d[n] && negative >= 0) loss += v(negative, n) - 1.0;
        if (clusters.n_o[n] < n_d[n] && positive >= 0) loss += 1.0 - v(positive, n);
      }
      const auto result = StcaLoss<float>(v, {0.8f}, 2, n_d);
      ASSERT_TRUE(result.ok());
      EXPECT_NEAR(result->loss, loss, 1e-12 * neurons);
      EXPECT_EQ(result->n_o, clusters.n_o);
      EXPECT_EQ(StcaLoss<float>(v, {0.8f}, 2, n_d, std::nullopt, split)->loss, result->loss);
    }
  }
}

TEST(StcaLoss, TheGradientIsThatOfEachNeuronForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  for (const int steps : {0, 1, 7, 40}) {
    for (const int neurons : {0, 1, 63, 64, 65, 300}) {
      RowMatrix<float> v = testing::RandomNormal<float>(steps, neurons, static_cast<uint32_t>(steps + neurons));
      if (v.size() > 0) v(0, 0) = std::numeric_limits<float>::infinity();
      const SpikeClusters clusters = *SpikeCluster<float>(v, {0.8f}, {.t_in = 1});
      RowMatrix<float> expected = RowMatrix<float>::Zero(steps, neurons);
      for (int n = 0; n < neurons; ++n) {
        const int step = clusters.n_o[n] > 2 ? clusters.k_negative[n] : clusters.k_positive[n];
        if (clusters.n_o[n] != 2 && step >= 0) expected(step, n) = clusters.n_o[n] > 2 ? 1 : -1;
      }
      for (Executor* executor : {&InlineExecutor(), static_cast<Executor*>(&split)}) {
        // In memory where rows are apart, and what is between them stays.
        RowMatrix<float> memory = RowMatrix<float>::Constant(steps, neurons + 3, 7);
        ASSERT_TRUE(
            StcaLoss<float>(v, {0.8f}, 1, {2.0}, MutableMatrixView<float>(memory.leftCols(neurons)), *executor).ok());
        EXPECT_EQ(RowMatrix<float>(memory.leftCols(neurons)), expected);
        EXPECT_EQ(RowMatrix<float>(memory.rightCols(3)), RowMatrix<float>(RowMatrix<float>::Constant(steps, 3, 7)));
        RowMatrix<float> grad = RowMatrix<float>::Constant(steps, neurons, 7);
        ASSERT_TRUE(StcaLoss<float>(v, {0.8f}, 1, {2.0}, MutableMatrixView<float>(grad), *executor).ok());
        EXPECT_EQ(grad, expected);
      }
    }
  }
}

TEST(StcaLoss, RefusesBadOperands) {
  RowMatrix<float> v = RowMatrix<float>::Zero(4, 3);
  EXPECT_EQ(testing::Refusal(StcaLoss<float>(v, {1.0f}, 1, {1.0, 2.0}).status(), "n_d"),
            "n_d: 2 elements; need 1, or one for each of the 3 neurons of v");
  testing::Refusal(StcaLoss<float>(v, {1.0f}, 1, {}).status(), "n_d");
  testing::Refusal(StcaLoss<float>(v, {1.0f}, 1, {1, 1, std::numeric_limits<double>::infinity()}).status(), "n_d");
  testing::Refusal(StcaLoss<float>(v, {1.0f}, 1, {NAN}).status(), "n_d");
  testing::Refusal(StcaLoss<float>(v, {1.0f}, -1, {1.0}).status(), "t_in");
  RowMatrix<float> grad(3, 4);
  testing::Refusal(StcaLoss<float>(v, {1.0f}, 1, {1.0}, MutableMatrixView<float>(grad)).status(), "grad_v");
  v(2, 1) = NAN;
  testing::Refusal(StcaLoss<float>(v, {1.0f}, 1, {1.0}).status(), "v");
}

}  // namespace
}  // namespace spikeserve

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/plane_layer_testing.h"
#include "lib/simd_targets.h"

namespace spikeserve {
namespace {

using testing::CreateRefusal;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::ExpectNear;
using ::testing::HasSubstr;
using testing::LayerRun;
using testing::ToDoubles;

BatchNorm2d RandomNorm(int64_t features, uint32_t seed) {
  BatchNorm2d norm{.eps = 1e-3, .momentum = 0.3};
  norm.weight = RandomNumbers(features, seed);
  norm.bias = RandomNumbers(features, seed + 1);
  norm.running_mean = RandomNumbers(features, seed + 2);
  norm.running_var = RandomNumbers(features, seed + 3);
  for (float& v : norm.running_var) v = std::abs(v);
  return norm;
}

// The definition, in double.
struct NaiveNorm {
  bool training;
  double eps, momentum;
  // [T, batch, channels, plane]
  int64_t steps, batch, channels, plane;
  std::vector<double> x, weight, bias, running_mean, running_var;

  size_t Index(int64_t t, int64_t b, int64_t c, int64_t p) const {
    return ((t * batch + b) * channels + c) * plane + p;
  }
  std::vector<double> Forward() {
    std::vector<double> y(x.size());
    const double count = static_cast<double>(batch * plane);
    for (int64_t t = 0; t < steps; ++t) {
      for (int64_t c = 0; c < channels; ++c) {
        double mean = 0, variance = 0;
        const auto for_each = [&](auto body) {
          for (int64_t b = 0; b < batch; ++b) {
            for (int64_t p = 0; p < plane; ++p) body(Index(t, b, c, p));
          }
        };
        for_each([&](size_t i) { mean += x[i] / count; });
        for_each([&](size_t i) { variance += (x[i] - mean) * (x[i] - mean) / count; });
        if (training) {
          running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean;
          running_var[c] = (1 - momentum) * running_var[c] + momentum * variance * count / (count - 1);
        } else {
          mean = running_mean[c];
          variance = running_var[c];
        }
        for_each([&](size_t i) { y[i] = (x[i] - mean) / std::sqrt(variance + eps) * weight[c] + bias[c]; });
      }
    }
    return y;
  }
};

NaiveNorm Naive(const BatchNorm2d& norm, const std::vector<float>& input, const Shape& shape, bool training) {
  return {.training = training,
          .eps = norm.eps,
          .momentum = norm.momentum,
          .steps = shape[0],
          .batch = shape[1],
          .channels = shape[2],
          .plane = shape[3] * shape[4],
          .x = ToDoubles(input),
          .weight = norm.affine ? ToDoubles(norm.weight) : std::vector<double>(shape[2], 1),
          .bias = norm.affine ? ToDoubles(norm.bias) : std::vector<double>(shape[2], 0),
          .running_mean = ToDoubles(norm.running_mean),
          .running_var = ToDoubles(norm.running_var)};
}

const BatchNorm2d& NormOf(const std::vector<LayerSpec>& spec) { return std::get<BatchNorm2d>(spec.at(0).kind); }

TEST(BatchNorm2d, IsTheDefinitionForRandomShapesInBothModes) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    testing::Choice choice(seed);
    const Shape shape = {choice.Of({1, 2, 5}), choice.Of({2, 3, 7}), choice.Of({1, 2, 13}), choice.Of({1, 2, 11}),
                         choice.Of({1, 3, 31})};
    BatchNorm2d norm = RandomNorm(shape[2], seed);
    if (seed % 4 == 0) norm.affine = false, norm.weight.clear(), norm.bias.clear();
    const std::vector<float> input = RandomNumbers(*ElementCount(shape), seed + 4);
    for (const bool training : {true, false}) {
      const LayerRun run = testing::RunLayer(norm, input, shape, training);
      EXPECT_EQ(run.shape, shape);
      NaiveNorm naive = Naive(norm, input, shape, training);
      ExpectNear(run.output, naive.Forward(), 2e-5, "output");
      ExpectNear(NormOf(run.spec).running_mean, naive.running_mean, 1e-6, "running mean");
      ExpectNear(NormOf(run.spec).running_var, naive.running_var, 1e-6, "running variance");
    }
  }
}

TEST(BatchNorm2d, GradientsAreTheDefinitionsDifferencesInBothModes) {
  for (const Shape& shape : {Shape{2, 3, 2, 2, 3}, Shape{1, 2, 3, 1, 1}, Shape{3, 1, 1, 3, 4}}) {
    for (const bool training : {true, false}) {
      for (const bool affine : {true, false}) {
        BatchNorm2d norm = RandomNorm(shape[2], 3);
        norm.affine = affine;
        if (!affine) norm.weight.clear(), norm.bias.clear();
        const std::vector<float> input = RandomNumbers(*ElementCount(shape), 4);
        const LayerRun run = testing::RunLayer(norm, input, shape, training);
        NaiveNorm naive = Naive(norm, input, shape, training);
        const std::vector<double> grad = testing::GradOutput(run.output.size());
        const auto forward = [&] { return NaiveNorm(naive).Forward(); };
        ExpectNear(run.grad_input, testing::Differences(naive.x, grad, forward), 1e-5, "input");
        ASSERT_EQ(run.gradients.size(), affine ? 2u : 0u);
        if (!affine) continue;
        ExpectNear(run.gradients[0].values, testing::Differences(naive.weight, grad, forward), 1e-5, "weight");
        ExpectNear(run.gradients[1].values, testing::Differences(naive.bias, grad, forward), 1e-5, "bias");
      }
    }
  }
}

TEST(BatchNorm2d, DependsNeitherOnThreadsNorOnInstructionsNorOnBlocks) {
  const Shape shape = {4, 3, 5, 7, 9};
  const BatchNorm2d norm = RandomNorm(5, 1);
  const std::vector<float> input = RandomNumbers(*ElementCount(shape), 2);
  const LayerRun wanted = testing::RunLayer(norm, input, shape, true);
  testing::ForEachTarget([&] {
    testing::SplitExecutor threads;
    const LayerRun run = testing::RunLayer(norm, input, shape, true, threads);
    EXPECT_TRUE(run.output == wanted.output);
    EXPECT_TRUE(run.grad_input == wanted.grad_input);
    EXPECT_TRUE(run.gradients[0].values == wanted.gradients[0].values);
    EXPECT_TRUE(NormOf(run.spec).running_var == NormOf(wanted.spec).running_var);
  });
  Network network = MakeNetwork({{.name = "", .kind = norm}});
  network.SetTraining(true);
  for (int64_t t = 0; t < 4; ++t) {
    const std::vector<float> output =
        Forward(network, absl::MakeConstSpan(input).subspan(t * 945, 945), {1, 3, 5, 7, 9}).output;
    EXPECT_TRUE(std::equal(output.begin(), output.end(), wanted.output.begin() + t * 945));
  }
  EXPECT_TRUE(NormOf(network.Spec()).running_mean == NormOf(wanted.spec).running_mean);
}

TEST(BatchNorm2d, IsExactWhereTheMeanIsFarFromZero) {
  BatchNorm2d norm{.num_features = 1, .eps = 1e-12};
  const LayerRun run = testing::RunLayer(norm, {4096, 4097, 4098, 4099}, {1, 4, 1, 1, 1}, true);
  ExpectNear(run.output, {-1.5 / std::sqrt(1.25), -0.5 / std::sqrt(1.25), 0.5 / std::sqrt(1.25), 1.5 / std::sqrt(1.25)},
             1e-6, "output");
}

TEST(BatchNorm2d, TakesDefaultsForWhatIsAbsent) {
  const BatchNorm2d norm = NormOf(MakeNetwork({{.name = "", .kind = BatchNorm2d{.num_features = 3}}}).Spec());
  EXPECT_THAT(norm.weight, ElementsAre(1, 1, 1));
  EXPECT_THAT(norm.bias, ElementsAre(0, 0, 0));
  EXPECT_THAT(norm.running_mean, ElementsAre(0, 0, 0));
  EXPECT_THAT(norm.running_var, ElementsAre(1, 1, 1));
  BatchNorm2d of_mean;
  of_mean.running_mean = {1, 2};
  EXPECT_EQ(NormOf(MakeNetwork({{.name = "", .kind = of_mean}}).Spec()).num_features, 2);
}

TEST(BatchNorm2d, ResetLeavesTheRunningStatistics) {
  Network network = MakeNetwork({{.name = "", .kind = RandomNorm(2, 1)}});
  network.SetTraining(true);
  Forward(network, RandomNumbers(24, 2), {1, 3, 2, 2, 2});
  const auto before = NormOf(network.Spec());
  EXPECT_FALSE(before.running_mean == RandomNorm(2, 1).running_mean);
  network.Reset();
  EXPECT_TRUE(NormOf(network.Spec()).running_mean == before.running_mean);
  EXPECT_TRUE(NormOf(network.Spec()).running_var == before.running_var);
}

TEST(BatchNorm2d, StatisticsThatAreNotFiniteLeaveTheRunningOnes) {
  Network network = MakeNetwork({{.name = "", .kind = BatchNorm2d{.num_features = 2}}});
  network.SetTraining(true);
  Forward(network, {std::numeric_limits<float>::infinity(), 1, 3e38f, -3e38f}, {1, 1, 2, 1, 2});
  EXPECT_THAT(NormOf(network.Spec()).running_mean, Each(0));
  EXPECT_THAT(NormOf(network.Spec()).running_var, Each(1));
}

// A network whose training step fails after the forward pass, or does not.
class BatchNorm2dTrainStep : public ::testing::Test {
 protected:
  static constexpr int64_t kBatch = 4;

  absl::StatusOr<TrainStepResult> Step(float scale) {
    std::vector<float> input = RandomNumbers(3 * kBatch * 2 * 3 * 3, 8);
    for (float& x : input) x *= scale;
    return network_.TrainStep(input, {3, kBatch, 2, 3, 3}, labels_,
                              {.optimizer = optimizer_, .num_classes = 2, .losses = {{.kind = RateLoss{}}}});
  }

  std::vector<int64_t> labels_ = {0, 1, 0, 1};
  Sgd optimizer_ = {.learning_rate = 0.1};
  Network network_ = MakeNetwork({{.name = "", .kind = RandomNorm(2, 1)},
                                  {.name = "", .kind = Flatten{}},
                                  {.name = "", .kind = RandomLinear(18, 2, 3)},
                                  {.name = "", .kind = LifNode{{}, 2.0}}});
};

TEST_F(BatchNorm2dTrainStep, ThatSucceedsMovesTheRunningStatistics) {
  ASSERT_TRUE(Step(1).ok()) << Step(1).status();
  EXPECT_FALSE(NormOf(network_.Spec()).running_mean == RandomNorm(2, 1).running_mean);
  EXPECT_FALSE(NormOf(network_.Spec()).weight == RandomNorm(2, 1).weight);
}

TEST_F(BatchNorm2dTrainStep, ThatFailsLeavesTheRunningStatistics) {
  optimizer_ = {.learning_rate = 1e30, .weight_decay = 1e30};
  const auto failed = Step(1);
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kFailedPrecondition) << failed.status();
  EXPECT_TRUE(NormOf(network_.Spec()).running_mean == RandomNorm(2, 1).running_mean);
  EXPECT_TRUE(NormOf(network_.Spec()).running_var == RandomNorm(2, 1).running_var);
  EXPECT_TRUE(NormOf(network_.Spec()).weight == RandomNorm(2, 1).weight);
}

TEST_F(BatchNorm2dTrainStep, OfACopyWithItsStateGoesOnBitForBit) {
  ASSERT_TRUE(Step(1).ok());
  Network copy = MakeNetwork(network_.Spec());
  ASSERT_TRUE(copy.SetState(network_.State()).ok());
  std::swap(copy, network_);
  ASSERT_TRUE(Step(2).ok());
  std::swap(copy, network_);
  ASSERT_TRUE(Step(2).ok());
  EXPECT_TRUE(NormOf(network_.Spec()).running_var == NormOf(copy.Spec()).running_var);
  EXPECT_TRUE(NormOf(network_.Spec()).weight == NormOf(copy.Spec()).weight);
}

TEST(BatchNorm2d, RefusesOneElementForEachChannelInTrainingOnly) {
  Network network = MakeNetwork({{.name = "norm", .kind = RandomNorm(2, 1)}});
  Forward(network, {1, 2}, {1, 1, 2, 1, 1});
  network.Reset();
  network.SetTraining(true);
  EXPECT_THAT(Refusal(network, std::vector<float>{1, 2}, {1, 1, 2, 1, 1}, "input"),
              HasSubstr("[1, 2, 1, 1] at layer \"norm\" (layers[0].batch_norm2d); need more than one element"));
  EXPECT_EQ(Forward(network, {}, {1, 0, 2, 1, 1}).shape, (Shape{1, 0, 2, 1, 1}));
}

TEST(BatchNorm2d, RefusesParametersOutOfRange) {
  const auto refusal = [](auto change, const std::string& field) {
    BatchNorm2d norm = RandomNorm(3, 1);
    change(norm);
    return CreateRefusal({{.name = "", .kind = norm}}, "layers[0].batch_norm2d" + field);
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CreateRefusal({{.name = "", .kind = BatchNorm2d{}}}, "layers[0].batch_norm2d.num_features");
  refusal([](BatchNorm2d& n) { n.num_features = -1; }, ".num_features");
  refusal([](BatchNorm2d& n) { n.num_features = int64_t{1} << 40; }, ".num_features");
  refusal([](BatchNorm2d& n) { n.eps = 0; }, ".eps");
  refusal([&](BatchNorm2d& n) { n.eps = kNan; }, ".eps");
  refusal([](BatchNorm2d& n) { n.momentum = 1.5; }, ".momentum");
  refusal([&](BatchNorm2d& n) { n.momentum = kNan; }, ".momentum");
  refusal([](BatchNorm2d& n) { n.affine = false; }, ".weight");
  refusal([](BatchNorm2d& n) { n.bias.pop_back(); }, ".bias");
  refusal([](BatchNorm2d& n) { n.running_mean.push_back(1); }, ".running_mean");
  EXPECT_THAT(refusal([](BatchNorm2d& n) { n.running_var[1] = -1; }, ".running_var"), HasSubstr("-1 at element 1"));
  refusal([](BatchNorm2d& n) { n.weight[0] = std::numeric_limits<float>::infinity(); }, ".weight");
}

TEST(BatchNorm2d, RefusesLayersAndInputsThatDoNotFitIt) {
  const BatchNorm2d norm = RandomNorm(3, 1);
  CreateRefusal({{.name = "", .kind = norm}, {.name = "", .kind = RandomNorm(2, 1)}},
                "layers[1].batch_norm2d.num_features");
  CreateRefusal({{.name = "", .kind = RandomLinear(3, 3, 1)}, {.name = "", .kind = norm}}, "layers[1].batch_norm2d");
  Network network = MakeNetwork({{.name = "", .kind = norm}});
  Refusal(network, RandomNumbers(8, 1), {1, 1, 2, 2, 2}, "input");
  EXPECT_THAT(Refusal(network, RandomNumbers(3, 1), {1, 1, 3}, "input"), HasSubstr("need [batch, 3, height, width]"));
}

}  // namespace
}  // namespace spikeserve

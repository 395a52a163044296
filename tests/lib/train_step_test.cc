// A step of training: what it is made of, what it tells, and what it leaves.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "lib/simd_targets.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/compute/redundant_one_hot.h"

namespace spikeserve {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::SplitExecutor;

constexpr int64_t kSteps = 7, kBatch = 5, kClasses = 4;
constexpr int64_t kLabels[kBatch] = {2, 0, 3, 2, 1};
const Shape kShape = {kSteps, kBatch, 6};

std::vector<float> Input(uint32_t seed) { return RandomNumbers(kSteps * kBatch * 6, seed); }

// All kinds of losses, on several layers; two on one.
TrainStepOptions AllLosses() {
  return {.optimizer = Adam{.learning_rate = 0.01},
          .num_classes = kClasses,
          .losses = {{.kind = RateLoss()},
                     {.layer = "hidden", .weight = 0.5, .kind = SimilarityLoss()},
                     {.layer = "out", .weight = 0.25, .kind = CountLoss()},
                     {.layer = "hidden", .weight = 0.125, .kind = ClusterLoss{.t_in = 1, .n_d = 2}},
                     {.layer = "rif", .weight = 2, .kind = SimilarityLoss{.kernel = GaussianKernel{3}}}},
          .margin = TrainingMargin{.threshold0 = 0.5, .threshold1 = 1}};
}

TrainStepResult Step(Network& network, const TrainStepOptions& options, absl::Span<const float> input,
                     Executor& executor = InlineExecutor()) {
  auto result = network.TrainStep(input, kShape, kLabels, options, executor);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

// The gradient of RateLoss with respect to the spikes of a layer.
std::vector<float> GradOfRate(const LayerRecord& record) {
  const int64_t neurons = record.shape[2], size = kBatch * neurons;
  std::vector<float> code(size);
  EXPECT_TRUE(RedundantOneHot<float>(kLabels, kClasses, neurons / kClasses, absl::MakeSpan(code)).ok());
  std::vector<double> counts(size);
  for (size_t i = 0; i < record.spikes.size(); ++i) counts[i % size] += record.spikes[i];
  std::vector<float> grad;
  for (int64_t i = 0; i < kSteps * size; ++i) {
    const double error = counts[i % size] / kSteps - code[i % size];
    grad.push_back(static_cast<float>(2 * error / static_cast<double>(size * kSteps)));
  }
  return grad;
}

void ExpectNear(const std::vector<ParameterTensor>& got, const std::vector<ParameterTensor>& wanted, double tolerance) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t p = 0; p < wanted.size(); ++p) {
    double scale = 1e-6;
    for (const float x : wanted[p].values) scale = std::max<double>(scale, std::abs(x));
    for (size_t i = 0; i < wanted[p].values.size(); ++i) {
      EXPECT_NEAR(got[p].values[i], wanted[p].values[i], tolerance * scale)
          << wanted[p].layer << "." << wanted[p].parameter << " " << i;
    }
  }
}

TEST(TrainStep, IsForwardLossBackwardAndApplyGradients) {
  Network network = MakeNetwork(LearningLayers()), by_hand = MakeNetwork(LearningLayers());
  by_hand.SetTraining(true);
  const TrainStepOptions options{.optimizer = Sgd{.learning_rate = 0.1, .momentum = 0.5},
                                 .num_classes = kClasses,
                                 .losses = {{.kind = RateLoss()}}};
  for (uint32_t k = 0; k < 4; ++k) {
    SCOPED_TRACE(k);
    const std::vector<float> input = Input(k);
    const TrainStepResult result = Step(network, options, input);

    const RecordRequest requests[] = {
        {.layer = "hidden", .spikes = true}, {.layer = "rif", .spikes = true}, {.layer = "out", .spikes = true}};
    by_hand.Reset();
    by_hand.ZeroGradients();
    const auto forward = by_hand.Forward(input, kShape, {.records = requests, .keep_trace = true});
    ASSERT_TRUE(forward.ok()) << forward.status();
    const std::vector<float> grad = GradOfRate(forward->records[2]);
    ASSERT_TRUE(by_hand.Backward({.grad_output = grad}).ok());
    ASSERT_TRUE(by_hand.ApplyGradients(options.optimizer).ok());
    ExpectNear(ParametersOf(network), ParametersOf(by_hand), 1e-6);
    ExpectNear(network.GetOptimizerState().first_moments, by_hand.GetOptimizerState().first_moments, 1e-5);
    EXPECT_EQ(network.GetOptimizerState().steps, k + 1);

    ASSERT_THAT(result.spike_rates, SizeIs(3));
    for (size_t layer = 0; layer < 3; ++layer) {
      const LayerRecord& record = forward->records[layer];
      const double spikes = static_cast<double>(std::count(record.spikes.begin(), record.spikes.end(), 1));
      EXPECT_EQ(result.spike_rates[layer].layer, record.layer);
      EXPECT_DOUBLE_EQ(result.spike_rates[layer].rate, spikes / static_cast<double>(record.spikes.size()));
      EXPECT_GT(result.spike_rates[layer].rate, 0.05);
      EXPECT_LT(result.spike_rates[layer].rate, 0.95);
    }
    // The next one begins with equal parameters, to the bit.
    by_hand = MakeNetwork(network.Spec());
    by_hand.SetTraining(true);
    ASSERT_TRUE(by_hand.SetState(network.State()).ok());
    ASSERT_TRUE(by_hand.SetOptimizerState(network.GetOptimizerState()).ok());
  }
}

TEST(TrainStep, OfSeveralLossesTakesTheirWeightedSum) {
  TrainStepOptions options = AllLosses();
  options.optimizer = Sgd();  // Its first moments are the gradients.
  const std::vector<float> input = Input(1);
  Network together = MakeNetwork(LearningLayers());
  const TrainStepResult result = Step(together, options, input);
  ASSERT_THAT(result.losses, SizeIs(options.losses.size()));
  std::vector<ParameterTensor> sum = together.Gradients();  // Zeros.
  double loss = 0;
  for (size_t k = 0; k < options.losses.size(); ++k) {
    Network alone = MakeNetwork(LearningLayers());
    TrainStepOptions one = options;
    one.losses = {options.losses[k]};
    one.losses[0].weight = 1;
    const TrainStepResult of_one = Step(alone, one, input);
    EXPECT_EQ(of_one.loss, result.losses[k]);
    EXPECT_NE(of_one.loss, 0);
    EXPECT_THAT(of_one.losses, ElementsAre(result.losses[k]));
    loss += options.losses[k].weight * of_one.loss;
    const std::vector<ParameterTensor> gradients = alone.GetOptimizerState().first_moments;
    for (size_t p = 0; p < sum.size(); ++p) {
      for (size_t i = 0; i < sum[p].values.size(); ++i) {
        sum[p].values[i] += static_cast<float>(options.losses[k].weight) * gradients[p].values[i];
      }
    }
  }
  EXPECT_DOUBLE_EQ(result.loss, loss);
  ExpectNear(together.GetOptimizerState().first_moments, sum, 2e-5);
}

TEST(TrainStep, LearnsWhatItIsShown) {
  // Of each class one pattern: after some steps all are told apart, which they were not.
  Network network = MakeNetwork(LearningLayers());
  TrainStepOptions options = AllLosses();
  options.losses.resize(1);
  std::vector<float> input = Input(3);
  const TrainStepResult first = Step(network, options, input);
  TrainStepResult last = first;
  for (int k = 0; k < 200; ++k) last = Step(network, options, input);
  EXPECT_LT(last.loss, 0.7 * first.loss);
  EXPECT_GT(last.correct, first.correct);
}

// --- What a step tells. One layer that fires where the input is 1, so the input says what it does.

Network Repeater(std::variant<float, ThresholdTensor> v_threshold = 1.0f) {
  IfNode node;
  node.v_threshold = std::move(v_threshold);
  return MakeNetwork({{.name = "out", .kind = node}});
}

TEST(TrainStep, CountsWhoseClassFiresMostOfEqualOnesTheFirst) {
  // Spikes [T = 2, B = 6, 3 classes * 2].
  const std::vector<float> spikes = {
      0, 0, 0, 0, 0, 0,  //
      0, 0, 0, 0, 0, 0,  //
      0, 0, 1, 0, 0, 1,  //
      0, 0, 1, 0, 0, 1,  //
      1, 0, 0, 0, 1, 1,  //
      1, 1, 1, 1, 1, 1,  //

      0, 0, 0, 0, 0, 0,  //
      0, 0, 0, 0, 0, 0,  //
      0, 0, 1, 0, 1, 0,  //
      0, 0, 0, 1, 0, 1,  //
      1, 0, 0, 0, 0, 1,  //
      1, 1, 1, 1, 1, 1,  //
  };
  const std::vector<int64_t> right = {0, 0, 1, 1, 2, 0};
  Network network = Repeater();
  const auto step = [&](const std::vector<int64_t>& labels) {
    const auto result = network.TrainStep(spikes, {2, 6, 6}, labels,
                                          {.optimizer = Sgd(), .num_classes = 3, .losses = {{.kind = CountLoss()}}});
    EXPECT_TRUE(result.ok()) << result.status();
    return *result;
  };
  EXPECT_EQ(step(right).correct, 6);
  EXPECT_EQ(step(right).accuracy, 1);
  const double fired = std::count(spikes.begin(), spikes.end(), 1.0f);
  ASSERT_THAT(step(right).spike_rates, SizeIs(1));
  EXPECT_DOUBLE_EQ(step(right).spike_rates[0].rate, fired / 72);
  for (size_t b = 0; b < right.size(); ++b) {
    for (const int64_t other : {1, 2}) {
      std::vector<int64_t> labels = right;
      labels[b] = (right[b] + other) % 3;
      EXPECT_EQ(step(labels).correct, 5) << b;
      EXPECT_DOUBLE_EQ(step(labels).accuracy, 5.0 / 6);
    }
  }
}

TEST(TrainStep, TellsClassesApartInTheLayerThatIsNamed) {
  Network network = MakeNetwork(LearningLayers()), plain = MakeNetwork(LearningLayers());
  plain.SetTraining(true);
  const std::vector<float> input = Input(5);
  const RecordRequest request{.layer = "rif", .spikes = true};
  const LayerRecord record = Forward(plain, input, kShape, {&request, 1}).records[0];
  int64_t correct = 0;
  for (int64_t b = 0; b < kBatch; ++b) {
    int64_t counts[kClasses] = {};
    for (int64_t t = 0; t < kSteps; ++t) {
      for (int64_t n = 0; n < 12; ++n) counts[n / 3] += record.spikes[(t * kBatch + b) * 12 + n];
    }
    correct += std::max_element(counts, counts + kClasses) - counts == kLabels[b];
  }
  const TrainStepOptions options{
      .optimizer = Sgd(), .num_classes = kClasses, .losses = {{.kind = RateLoss()}}, .output_layer = "rif"};
  EXPECT_EQ(Step(network, options, input).correct, correct);
  // That is also the layer of a loss that names none.
  const std::vector<ParameterTensor> gradients = network.GetOptimizerState().first_moments;
  EXPECT_THAT(ValuesOf(gradients, "third", "weight"), Each(0.0f));
  EXPECT_THAT(ValuesOf(gradients, "second", "weight"), ::testing::Contains(::testing::Ne(0.0f)));
}

// --- The margin.

TEST(TrainStep, WithAMarginTheLabelsNeuronsHaveTheHigherThresholds) {
  // Of two classes with two neurons each: what fires in one step at each voltage.
  const std::vector<float> input = {0.6f, 0.9f, 0.6f, 0.9f,  //
                                    0.4f, 0.6f, 0.9f, 0.6f};
  const TrainStepOptions options{.optimizer = Sgd(),
                                 .num_classes = 2,
                                 .losses = {{.kind = RateLoss()}},
                                 .margin = TrainingMargin{.threshold0 = 0.5, .threshold1 = 0.8}};
  const std::vector<int64_t> labels = {0, 1};
  for (const std::variant<float, ThresholdTensor>& own :
       {std::variant<float, ThresholdTensor>(0.25f),
        std::variant<float, ThresholdTensor>(ThresholdTensor{{2, 4}, std::vector<float>(8, 0.75f)})}) {
    Network network = Repeater(own);
    const Snapshot before = SnapshotOf(network);
    const auto step = network.TrainStep(input, {1, 2, 4}, labels, options);
    ASSERT_TRUE(step.ok()) << step.status();
    // Spikes 0 1 1 1 and 0 1 1 0, codes 1 1 0 0 and 0 0 1 1.
    EXPECT_DOUBLE_EQ(step->loss, 5.0 / 8);
    EXPECT_DOUBLE_EQ(step->spike_rates[0].rate, 5.0 / 8);
    EXPECT_EQ(step->correct, 0);
    EXPECT_EQ(SnapshotOf(network).at("out.v_threshold"), before.at("out.v_threshold"));
    EXPECT_EQ(SnapshotOf(network).contains("out.v_threshold shape"), before.contains("out.v_threshold shape"));
  }
}

TEST(TrainStep, WithAMarginIsOneWithTheThresholdsOfSetThresholdMargin) {
  Network network = MakeNetwork(LearningLayers()), with_thresholds = MakeNetwork(LearningLayers());
  TrainStepOptions options = AllLosses();
  options.losses.push_back({.kind = ClusterLoss{.t_in = 1}});  // Needs the thresholds itself.
  std::vector<double> code(kBatch * 8);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (const int64_t v : {0, 1}) code[b * 8 + kLabels[b] * 2 + v] = 1;
  }
  with_thresholds.SetTraining(true);
  ASSERT_TRUE(
      with_thresholds
          .SetThresholdMargin("out", code, {kBatch, 8},
                              {.threshold0 = options.margin->threshold0, .threshold1 = options.margin->threshold1})
          .ok());
  const std::vector<float> input = Input(2);
  const TrainStepResult got = Step(network, options, input);
  options.margin.reset();
  const TrainStepResult wanted = Step(with_thresholds, options, input);
  EXPECT_EQ(got.losses, wanted.losses);
  EXPECT_EQ(got.correct, wanted.correct);
  ExpectNear(ParametersOf(network), ParametersOf(with_thresholds), 0);
}

// --- What a step leaves.

TEST(TrainStep, LeavesTheNetworkResetAndNothingElseChangedButParametersAndOptimizer) {
  for (const bool training : {false, true}) {
    SCOPED_TRACE(training);
    Network network = MakeNetwork(LearningLayers());
    network.SetTraining(training);
    const std::vector<float> input = Input(1);
    ASSERT_TRUE(network.Forward(input, kShape, {.keep_trace = true}).ok());
    const std::vector<float> grad(kSteps * kBatch * 8, 0.5f);
    ASSERT_TRUE(network.Backward({.grad_output = grad}).ok());
    ASSERT_TRUE(network.Forward(input, kShape, {.keep_trace = true}).ok());
    const Snapshot before = SnapshotOf(network);
    const std::vector<ParameterTensor> parameters = ParametersOf(network);
    ASSERT_GT(network.trace_bytes(), 0);

    Step(network, AllLosses(), input);
    EXPECT_EQ(network.training(), training);
    EXPECT_EQ(network.trace_steps(), 0);
    EXPECT_EQ(network.trace_bytes(), 0);
    const NetworkState state = network.State();
    EXPECT_THAT(state.sample_shape, IsEmpty());
    ASSERT_THAT(state.layers, SizeIs(1));
    EXPECT_EQ(state.layers[0].layer, "drop");
    EXPECT_THAT(state.layers[0].mask, IsEmpty());
    EXPECT_EQ(state.layers[0].masks_drawn, training ? 2 : 1);
    ASSERT_THAT(network.Monitors(), SizeIs(1));
    EXPECT_EQ(network.Monitors()[0].shape, (Shape{0}));
    EXPECT_THAT(network.Monitors()[0].spikes, IsEmpty());
    const Snapshot after = SnapshotOf(network);
    for (const auto& [name, bits] : before) {
      const bool same = name.starts_with("gradients") || name.ends_with("v_threshold");
      const bool learnt = name.starts_with("parameters") && !name.ends_with("shape");
      EXPECT_TRUE(!same || after.at(name) == bits) << name;
      EXPECT_TRUE(!learnt || after.at(name) != bits) << name;
    }

    // From here on it does what a network of these parameters does.
    Network copy = MakeNetwork(network.Spec());
    copy.SetTraining(training);
    ASSERT_TRUE(copy.SetState(state).ok());
    EXPECT_EQ(Forward(network, input, kShape).output, Forward(copy, input, kShape).output);
  }
}

TEST(TrainStep, DoesNotDependOnWhatTheNetworkWasDoing) {
  Network fresh = MakeNetwork(LearningLayers()), busy = MakeNetwork(LearningLayers());
  Forward(busy, RandomNumbers(2 * 3 * 6, 1), {2, 3, 6});  // Of another batch, in evaluation: draws no mask.
  const TrainStepResult wanted = Step(fresh, AllLosses(), Input(1)), got = Step(busy, AllLosses(), Input(1));
  EXPECT_EQ(got.losses, wanted.losses);
  EXPECT_EQ(SnapshotOf(busy), SnapshotOf(fresh));
}

TEST(TrainStep, OfANetworkWithoutParametersTellsItsLoss) {
  Network network = Repeater();
  const auto step = network.TrainStep({1, 0, 0, 0}, {1, 2, 2}, {0, 1},
                                      {.optimizer = Adam(), .num_classes = 2, .losses = {{.kind = RateLoss()}}});
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_DOUBLE_EQ(step->loss, 0.25);
}

// --- Bits.

Snapshot AfterSteps(const Surrogate& surrogate, Executor& executor) {
  Network network = MakeNetwork(LearningLayers(surrogate));
  for (uint32_t k = 0; k < 3; ++k) Step(network, AllLosses(), Input(k), executor);
  return SnapshotOf(network);
}

TEST(TrainStep, GivesTheSameBitsOnAnyExecutorOnEveryTarget) {
  for (const Surrogate& surrogate :
       {Surrogate(SigmoidSurrogate{2}), Surrogate(SignSwishSurrogate{}), Surrogate(BilinearLeakyReluSurrogate{})}) {
    testing::ForEachTarget([&] {
      SplitExecutor split;
      EXPECT_EQ(AfterSteps(surrogate, split), AfterSteps(surrogate, InlineExecutor()));
    });
  }
}

TEST(TrainStep, GivesTheSameBitsOnEveryTargetWhereTheSurrogateHasNoExponential) {
  const Snapshot wanted = AfterSteps(BilinearLeakyReluSurrogate{}, InlineExecutor());
  testing::ForEachTarget([&] { EXPECT_EQ(AfterSteps(BilinearLeakyReluSurrogate{}, InlineExecutor()), wanted); });
}

TEST(TrainStep, OfExponentialsAgreesToRoundingOnEveryTarget) {
  TrainStepOptions options = AllLosses();
  options.optimizer = Sgd();  // Its first moments are the gradients.
  for (const Surrogate& surrogate : {Surrogate(SigmoidSurrogate{2}), Surrogate(SignSwishSurrogate{})}) {
    const auto gradients = [&](TrainStepResult& result) {
      Network network = MakeNetwork(LearningLayers(surrogate));
      result = Step(network, options, Input(1));
      return network.GetOptimizerState().first_moments;
    };
    TrainStepResult wanted_result, result;
    const std::vector<ParameterTensor> wanted = gradients(wanted_result);
    testing::ForEachTarget([&] {
      ExpectNear(gradients(result), wanted, 1e-5);
      EXPECT_EQ(result.losses, wanted_result.losses);
    });
  }
}

TEST(TrainStep, OfWideLayersGivesTheSameBitsOnAnyExecutor) {
  // More neurons than a chunk, more elements than a block, and more than a thread's least part.
  constexpr int64_t kWide = 2100, kManySteps = 9, kManySamples = 40;
  const std::vector<float> input = RandomNumbers(kManySteps * kManySamples * 6, 1);
  std::vector<int64_t> labels(kManySamples);
  for (int64_t b = 0; b < kManySamples; ++b) labels[b] = b % kClasses;
  const LinearLayer first = TamedLinear(6, kWide, 1), second = TamedLinear(kWide, 8, 2);
  const auto run = [&](Executor& executor) {
    Network network = MakeNetwork({{.name = "first", .kind = first},
                                   {.name = "hidden", .kind = PlifNode()},
                                   {.name = "drop", .kind = Dropout{.p = 0.5}},
                                   {.name = "second", .kind = second},
                                   {.name = "out", .kind = LifNode()}});
    const TrainStepOptions options{
        .optimizer = Sgd{.learning_rate = 0.1},
        .num_classes = kClasses,
        .losses = {{.kind = CountLoss()}, {.layer = "hidden", .kind = SimilarityLoss()}, {.kind = ClusterLoss()}}};
    for (int k = 0; k < 2; ++k) {
      EXPECT_TRUE(network.TrainStep(input, {kManySteps, kManySamples, 6}, labels, options, executor).ok());
    }
    return SnapshotOf(network);
  };
  SplitExecutor split;
  EXPECT_EQ(run(split), run(InlineExecutor()));
}

}  // namespace
}  // namespace spikeserve

// The trace: what it is of, what ends it, and what may be asked of it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/backward_testing.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using testing::SplitExecutor;

TEST(Backward, AddsUpUntilZeroGradients) {
  Network network = MakeNetwork(TwoLayers().Specs());
  const std::vector<float> input = RandomNumbers(5 * 3 * 6, 1), grad = RandomNumbers(5 * 3 * 5, 2);
  const auto once = [&] {
    network.Reset();
    Trace(network, input, {5, 3, 6});
    Back(network, grad);
    return GradientOf(network, "second", "weight");
  };
  const std::vector<float> first = once(), second = once();
  for (size_t i = 0; i < first.size(); ++i) EXPECT_FLOAT_EQ(second[i], 2 * first[i]);
  network.ZeroGradients();
  EXPECT_EQ(once(), first);
}

TEST(Backward, ThroughStepsOfSeveralForwardsIsThatThroughAllAtOnce) {
  const std::vector<float> input = RandomNumbers(6 * 3 * 6, 1), grad = RandomNumbers(6 * 3 * 5, 2);
  Network at_once = MakeNetwork(TwoLayers().Specs());
  Trace(at_once, input, {6, 3, 6});
  const BackwardResult wanted = Back(at_once, grad);
  Network in_parts = MakeNetwork(TwoLayers().Specs());
  int64_t begin = 0;
  for (const int64_t steps : {1, 2, 3}) {
    Trace(in_parts, absl::MakeSpan(input).subspan(begin * 18, steps * 18), {steps, 3, 6});
    begin += steps;
  }
  EXPECT_EQ(in_parts.trace_steps(), 6);
  const BackwardResult got = Back(in_parts, grad);
  EXPECT_EQ(got.shape, wanted.shape);
  EXPECT_THAT(got.grad_input, ::testing::Pointwise(::testing::FloatNear(1e-6f), wanted.grad_input));
  EXPECT_THAT(GradientOf(in_parts, "first", "weight"),
              ::testing::Pointwise(::testing::FloatNear(1e-5f), GradientOf(at_once, "first", "weight")));
}

TEST(Backward, GivesTheSameBitsOnAnyExecutor) {
  // More neurons than a chunk of them, and more steps than a block.
  const Shape shape = {40, 30, 6};
  LinearLayer wide = RandomLinear(6, 600, 3);
  const std::vector<float> input = RandomNumbers(40 * 30 * 6, 1), grad = RandomNumbers(40 * 30 * 5, 2);
  const auto run = [&](Executor& executor) {
    RifNode rif;
    rif.init_w = 0.5;
    Network network = MakeNetwork({{.name = "first", .kind = wide},
                                   {.name = "rif", .kind = rif},
                                   {.name = "second", .kind = RandomLinear(600, 5, 4)},
                                   {.name = "out", .kind = PlifNode()}});
    Trace(network, input, shape, executor);
    const BackwardResult result = Back(network, grad, executor);
    std::vector<std::vector<float>> all = {result.grad_input};
    for (ParameterTensor& tensor : network.Gradients()) all.push_back(std::move(tensor.values));
    return all;
  };
  SplitExecutor split;
  EXPECT_EQ(run(split), run(InlineExecutor()));
}

TEST(Backward, TakesGradientsOfHiddenSpikesAndVoltages) {
  // A loss on the hidden layer alone is that of a network which ends there.
  const TwoLayers layers;
  std::vector<LayerSpec> hidden_only = layers.Specs();
  hidden_only.resize(2);
  Network small = MakeNetwork(hidden_only), whole = MakeNetwork(layers.Specs());
  const std::vector<float> input = RandomNumbers(5 * 3 * 6, 1), grad = RandomNumbers(5 * 3 * 20, 2);
  Trace(small, input, {5, 3, 6});
  Trace(whole, input, {5, 3, 6});
  const BackwardResult wanted = Back(small, grad);
  const LayerGradient hidden{.layer = "hidden", .spikes = grad};
  const auto got = whole.Backward({.layers = {&hidden, 1}, .compute_grad_input = true});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->grad_input, wanted.grad_input);
  EXPECT_EQ(GradientOf(whole, "first", "weight"), GradientOf(small, "first", "weight"));
  EXPECT_THAT(GradientOf(whole, "second", "weight"), ::testing::Each(0.0f));
}

TEST(Backward, OfVoltagesOfASilentNeuronIsTheFiniteDifference) {
  LifNode silent;
  silent.tau = 2;
  silent.v_threshold = 1e6f;
  silent.surrogate = SigmoidSurrogate{1};
  const Shape shape = {4, 1, 2};
  std::vector<float> input = RandomNumbers(8, 3);
  const std::vector<float> grad_before = RandomNumbers(8, 4), grad_after = RandomNumbers(8, 5);
  const auto loss = [&] {
    Network network = MakeNetwork({{.name = "n", .kind = silent}});
    const RecordRequest all{.layer = "n", .v_before_reset = true, .v_after_reset = true};
    const ForwardResult result = Forward(network, input, shape, {&all, 1});
    double sum = 0;
    for (int i = 0; i < 8; ++i) {
      sum += static_cast<double>(result.records[0].v_before_reset[i]) * grad_before[i] +
             static_cast<double>(result.records[0].v_after_reset[i]) * grad_after[i];
    }
    return sum;
  };
  Network network = MakeNetwork({{.name = "n", .kind = silent}});
  Trace(network, input, shape);
  const LayerGradient gradient{.layer = "n", .v_before_reset = grad_before, .v_after_reset = grad_after};
  const auto result = network.Backward({.layers = {&gradient, 1}, .compute_grad_input = true});
  ASSERT_TRUE(result.ok()) << result.status();
  for (int i = 0; i < 8; ++i) {
    const float x = input[i];
    input[i] = x + 0.25f;
    const double more = loss();
    input[i] = x - 0.25f;
    const double less = loss();
    input[i] = x;
    EXPECT_NEAR(result->grad_input[i], (more - less) / 0.5, 1e-5) << i;
  }
}

TEST(Backward, OfAnInfiniteThresholdIsFinite) {
  for (const bool soft : {false, true}) {
    IfNode node;
    node.v_threshold = std::numeric_limits<float>::infinity();
    if (soft) node.v_reset.reset();
    Network network = MakeNetwork({{.name = "n", .kind = node}});
    Trace(network, RandomNumbers(6, 1), {3, 1, 2});
    EXPECT_THAT(Back(network, RandomNumbers(6, 2)).grad_input, ::testing::Each(0.0f));
  }
}

TEST(Trace, GoesWithWhatEndsIt) {
  const std::vector<float> input = RandomNumbers(2 * 3 * 6, 1), grad = RandomNumbers(2 * 3 * 5, 2);
  const std::vector<std::pair<const char*, std::function<void(Network&)>>> ends = {
      {"Backward", [&](Network& n) { Back(n, grad); }},
      {"Reset", [](Network& n) { n.Reset(); }},
      {"Forward",
       [&](Network& n) {
         Forward(n, input, {2, 3, 6});
       }},
      {"SetTraining", [](Network& n) { n.SetTraining(true); }},
      {"SetThresholdMargin",
       [](Network& n) {
         const std::vector<double> one = {1};
         EXPECT_TRUE(n.SetThresholdMargin("out", one, {1}, {}).ok());
       }},
      {"ApplyGradients", [](Network& n) { EXPECT_TRUE(n.ApplyGradients(Sgd{}).ok()); }},
      {"SetState", [](Network& n) { EXPECT_TRUE(n.SetState(n.State()).ok()); }},
  };
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    Network network = MakeNetwork(TwoLayers().Specs());
    const int64_t before = network.ByteSize();
    Trace(network, input, {2, 3, 6});
    EXPECT_GT(network.trace_bytes(), 0);
    EXPECT_GT(network.ByteSize(), before + network.trace_bytes());
    end(network);
    EXPECT_EQ(network.trace_steps(), 0);
    EXPECT_EQ(network.trace_bytes(), 0);
    const auto without = network.Backward({.grad_output = grad});
    EXPECT_EQ(without.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(without.status().message()), HasSubstr("no trace"));
  }
}

TEST(Trace, TakesABitForASpikeAndNoMoreThanAnnounced) {
  // Wide steps, so that what each step or block has besides its elements is little.
  constexpr int64_t kSteps = 40, kBatch = 16, kFeatures = 512;
  Network network = MakeNetwork({{.name = "in", .kind = IfNode()}, {.name = "fc", .kind = RandomLinear(512, 8, 1)}});
  const auto announced = network.TraceByteSize({kSteps, kBatch, kFeatures});
  ASSERT_TRUE(announced.ok());
  Trace(network, RandomNumbers(kSteps * kBatch * kFeatures, 1), {kSteps, kBatch, kFeatures});
  const double elements = kSteps * kBatch * kFeatures;
  EXPECT_LE(network.trace_bytes(), *announced);
  // The voltages before the reset, and a bit for each spike.
  EXPECT_LE(network.trace_bytes(), elements * (4 + 1.0 / 8) * 1.05);
  EXPECT_GE(network.trace_bytes(), elements * (4 + 1.0 / 8));
}

TEST(Backward, BadGradientsAreRefusedAndChangeNothing) {
  Network network = MakeNetwork(TwoLayers().Specs());
  const std::vector<float> input = RandomNumbers(2 * 3 * 6, 1), grad = RandomNumbers(2 * 3 * 5, 2);
  Trace(network, input, {2, 3, 6});
  const auto refused = [&](const BackwardOptions& args) {
    const auto result = network.Backward(args);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << result.status();
    EXPECT_EQ(network.trace_steps(), 2);
    return FieldOf(result.status());
  };
  EXPECT_EQ(refused({}), "grad_output");
  EXPECT_EQ(refused({.grad_output = absl::MakeSpan(grad).first(29)}), "grad_output");
  std::vector<float> nan = grad;
  nan[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(refused({.grad_output = nan}), "grad_output");
  LayerGradient layer{.layer = "nobody", .spikes = grad};
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].layer");
  layer.layer = "second";
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].layer");
  layer.layer = "hidden";
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].grad_spikes");
  layer = {.layer = "hidden", .v_before_reset = grad};
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].grad_v_before_reset");
  layer = {.layer = "hidden", .v_after_reset = grad};
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].grad_v_after_reset");
  const LayerGradient twice[] = {{.layer = "out", .spikes = grad}, {.layer = "out", .spikes = grad}};
  EXPECT_EQ(refused({.layers = twice}), "layer_gradients[1].layer");
  EXPECT_THAT(GradientOf(network, "first", "bias"), ::testing::Each(0.0f));
}

}  // namespace
}  // namespace spikeserve

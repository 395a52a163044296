// Networks that learn in the service, over every transport: as the library does, to the bit.

#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "suites/training_testing.h"
#include "suites/transport.h"
#include "support/golden.h"
#include "support/golden_neuron.h"

namespace spikeserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class TrainingSuite : public TransportTest {
 protected:
  NetworkHandle Create(std::vector<LayerSpec> layers) {
    auto network = client().CreateNetwork(std::move(layers));
    EXPECT_TRUE(network.ok()) << network.status();
    return *std::move(network);
  }
};
SPIKESERVE_OVER_ALL_TRANSPORTS(TrainingSuite);

// --- Backward.

TEST_P(TrainingSuite, GradientsOfNeuronsAreTheReferences) {
  int learnt = 0;
  for (const GoldenCase& golden : GoldenCases("neuron")) {
    SCOPED_TRACE(golden.name);
    const NetworkHandle network = Create({GoldenNeuron(golden.params)});
    ASSERT_TRUE(network.Forward({.input = golden.inputs.at("dv"), .keep_trace = true}).ok());
    const auto result = network.Backward(
        {.grad_output = golden.inputs.at("grad_spikes"), .compute_grad_input = true, .include_gradients = true});
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(result->grad_input.has_value());
    const Tensor& wanted = golden.outputs.at("grad_dv");
    EXPECT_EQ(result->grad_input->shape(), wanted.shape());
    // The rounding of one voltage is in all gradients before it: errors are judged by the largest.
    const std::vector<double> got = result->grad_input->ToDoubles(), reference = wanted.ToDoubles();
    double largest = 1;
    for (const double g : reference) largest = std::max(largest, std::abs(g));
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], reference[i], 1e-5 * largest) << "element " << i;
    for (const char* name : {"grad_tau", "grad_g"}) {
      const auto found = golden.outputs.find(name);
      if (found == golden.outputs.end()) continue;
      ++learnt;
      ASSERT_THAT(result->gradients, SizeIs(1));
      EXPECT_EQ(result->gradients[0].shape, Shape());
      const double gradient = found->second.ToDoubles()[0];
      EXPECT_NEAR(result->gradients[0].values.at(0), gradient, 1e-5 * std::max(1.0, std::abs(gradient)));
    }
  }
  EXPECT_GE(learnt, 10);
}

// A way to run the steps of an input and to go back through them.
struct BackwardCase {
  const char* name;
  // The steps of each Forward, which add up to 6.
  std::vector<int64_t> forwards;
  bool output = true;
  bool spikes = false;
  bool v_before_reset = false;
  bool v_after_reset = false;
};

TEST_P(TrainingSuite, BackwardIsTheLibrarysToTheBit) {
  const Numbers input({6, 3, 6}, 1), grad_output({6, 3, 4}, 2), grad_spikes({6, 3, 10}, 3), grad_before({6, 3, 10}, 4),
      grad_after({6, 3, 10}, 5);
  for (const BackwardCase& c : {
           BackwardCase{"one Forward", {6}},
           BackwardCase{"several Forwards", {1, 2, 3}},
           BackwardCase{"step by step", {1, 1, 1, 1, 1, 1}},
           BackwardCase{"hidden spikes", {6}, false, true},
           BackwardCase{"hidden voltages before the reset", {4, 2}, false, false, true},
           BackwardCase{"hidden voltages after the reset", {6}, false, false, false, true},
           BackwardCase{"all of them", {1, 5}, true, true, true, true},
       }) {
    SCOPED_TRACE(c.name);
    const NetworkHandle network = Create(TwoClassLayers());
    Network library = MakeNetwork(TwoClassLayers());
    // The second round goes on from the state, and adds to the gradients, that the first one left.
    for (int round = 0; round < 2; ++round) {
      int64_t begin = 0;
      for (const int64_t steps : c.forwards) {
        const auto part = absl::MakeConstSpan(input.values).subspan(begin * 18, steps * 18);
        begin += steps;
        const bool single = steps == 1;
        const auto got = network.Forward({.input = TensorView(part, single ? Shape{3, 6} : Shape{steps, 3, 6}),
                                          .single_step = single,
                                          .keep_trace = true});
        ASSERT_TRUE(got.ok()) << got.status();
        const auto wanted = library.Forward(part, {steps, 3, 6}, {.keep_trace = true});
        ASSERT_TRUE(wanted.ok()) << wanted.status();
      }
      BackwardArgs args{.compute_grad_input = true, .include_gradients = true};
      BackwardOptions options{.compute_grad_input = true};
      if (c.output) args.grad_output = grad_output, options.grad_output = grad_output.values;
      LayerGradientViews views{.layer = "hidden"};
      LayerGradient gradient{.layer = "hidden"};
      if (c.spikes) views.spikes = grad_spikes, gradient.spikes = grad_spikes.values;
      if (c.v_before_reset) views.v_before_reset = grad_before, gradient.v_before_reset = grad_before.values;
      if (c.v_after_reset) views.v_after_reset = grad_after, gradient.v_after_reset = grad_after.values;
      if (c.spikes || c.v_before_reset || c.v_after_reset) args.layers = {views}, options.layers = {&gradient, 1};

      const auto got = network.Backward(args);
      ASSERT_TRUE(got.ok()) << got.status();
      const auto wanted = library.Backward(options);
      ASSERT_TRUE(wanted.ok()) << wanted.status();
      ASSERT_TRUE(got->grad_input.has_value());
      EXPECT_EQ(got->grad_input->shape(), wanted->shape);
      EXPECT_EQ(got->grad_input->values<float>(), absl::MakeConstSpan(wanted->grad_input));
      ExpectSame(got->gradients, library.Gradients());
    }
    ExpectSame(network.Get({.include_gradients = true})->gradients, library.Gradients());
  }
}

TEST_P(TrainingSuite, BackwardReturnsWhatIsAskedForOnly) {
  const NetworkHandle network = Create(TwoClassLayers());
  const Numbers input({2, 3, 6}, 1), grad({2, 3, 4}, 2);
  ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  const auto result = network.Backward({.grad_output = grad});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->grad_input.has_value());
  EXPECT_TRUE(result->gradients.empty());
  EXPECT_EQ(result->next_step, 2u);
}

TEST_P(TrainingSuite, TheOutputOfALinearLayerHasAGradient) {
  const std::vector<LayerSpec> layers = {{.name = "in", .kind = LifNode()},
                                         {.name = "fc", .kind = RandomLinear(5, 3, 1)}};
  const NetworkHandle network = Create(layers);
  Network library = MakeNetwork(layers);
  const Numbers input({4, 2, 5}, 1), grad({4, 2, 3}, 2);
  ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  const auto got = network.Backward({.grad_output = grad, .compute_grad_input = true, .include_gradients = true});
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_TRUE(library.Forward(input.values, input.shape, {.keep_trace = true}).ok());
  const auto wanted = library.Backward({.grad_output = grad.values, .compute_grad_input = true});
  ASSERT_TRUE(wanted.ok());
  EXPECT_EQ(got->grad_input->values<float>(), absl::MakeConstSpan(wanted->grad_input));
  ExpectSame(got->gradients, library.Gradients());
}

TEST_P(TrainingSuite, GradientsAddUpUntilZeroGradients) {
  const NetworkHandle network =
      Create({{.name = "fc", .kind = RandomLinear(6, 4, 1)}, {.name = "out", .kind = IfNode()}});
  const Numbers input({5, 3, 6}, 1), grad({5, 3, 4}, 2);
  const auto once = [&] {
    EXPECT_TRUE(network.Reset().ok());
    EXPECT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
    const auto result = network.Backward({.grad_output = grad, .include_gradients = true});
    EXPECT_TRUE(result.ok()) << result.status();
    return result->gradients;
  };
  const std::vector<ParameterTensor> first = once(), second = once();
  ASSERT_THAT(first, SizeIs(2));
  EXPECT_THAT(first[0].values, ::testing::Contains(::testing::Ne(0.0f)));
  for (size_t p = 0; p < first.size(); ++p) {
    for (size_t i = 0; i < first[p].values.size(); ++i) {
      EXPECT_FLOAT_EQ(second[p].values[i], 2 * first[p].values[i]) << first[p].parameter << " " << i;
    }
  }
  ASSERT_TRUE(network.ZeroGradients().ok());
  const auto zeroed = network.Get({.include_gradients = true});
  ASSERT_THAT(zeroed->gradients, SizeIs(2));
  for (const ParameterTensor& zeros : zeroed->gradients) {
    EXPECT_THAT(zeros.values, ::testing::Each(0.0f));
  }
  ExpectSame(once(), first);
}

// --- Optimisers and training steps.

const std::vector<std::pair<const char*, Optimizer>>& Optimizers() {
  static const auto& optimizers = *new std::vector<std::pair<const char*, Optimizer>>{
      {"sgd", Sgd{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01}},
      {"adam", Adam{.learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-6, .weight_decay = 0.1}},
  };
  return optimizers;
}

TEST_P(TrainingSuite, ApplyGradientsIsTheLibrarysToTheBit) {
  const NetworkHandle network = Create(TwoClassLayers());
  Network library = MakeNetwork(TwoClassLayers());
  const Numbers input({5, 3, 6}, 1), grad({5, 3, 4}, 2);
  // Each kind twice, so that its memory counts, and then the other one, which begins anew.
  for (const auto& [name, optimizer] : Optimizers()) {
    SCOPED_TRACE(name);
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
      ASSERT_TRUE(network.Backward({.grad_output = grad}).ok());
      const auto got = network.ApplyGradients(optimizer);
      ASSERT_TRUE(got.ok()) << got.status();
      ASSERT_TRUE(library.Forward(input.values, input.shape, {.keep_trace = true}).ok());
      ASSERT_TRUE(library.Backward({.grad_output = grad.values}).ok());
      const std::string before = BitsOf(library.Spec());
      ASSERT_TRUE(library.ApplyGradients(optimizer).ok());
      EXPECT_NE(BitsOf(library.Spec()), before);
      EXPECT_EQ(BitsOf(network), BitsOf(library.Spec()));
      ExpectSame(network.Get({.include_gradients = true})->gradients, library.Gradients());  // They stay.
    }
  }
}

struct TrainCase {
  const char* name;
  std::vector<LossTerm> losses;
  std::optional<TrainingMargin> margin = std::nullopt;
  std::string output_layer = {};
};

std::vector<TrainCase> TrainCases() {
  const LossTerm similarity{.layer = "hidden", .weight = 2, .kind = SimilarityLoss{}};
  // Of similarities of 1 the gradient is as steep as floats allow: the weight keeps it from throwing the network off.
  const LossTerm entropy{.weight = 1e-9, .kind = SimilarityLoss{.loss_type = LossType::kBce}};
  const LossTerm gaussian{.kind = SimilarityLoss{.kernel = GaussianKernel{3}, .loss_type = LossType::kL1}};
  const LossTerm rate{.kind = RateLoss{}}, count{.weight = 0.5, .kind = CountLoss{}};
  const LossTerm clusters{.weight = 0.25, .kind = ClusterLoss{.t_in = 1, .n_d = 2}};
  return {
      {"similarity", {similarity}},
      {"cross entropy of similarities", {entropy}},
      {"gaussian similarity", {gaussian}},
      {"rate", {rate}},
      {"count", {count}},
      {"clusters", {clusters}},
      {"all of them", {similarity, entropy, gaussian, rate, count, clusters}},
      {"margin", {rate}, TrainingMargin{}},
      {"another margin, with clusters", {clusters, count}, TrainingMargin{.threshold0 = 0.5, .threshold1 = 1.5}},
      {"another output layer", {rate}, TrainingMargin{}, "hidden"},
  };
}

TEST_P(TrainingSuite, TrainStepIsTheLibrarysToTheBit) {
  const Batches batches;
  for (const TrainCase& c : TrainCases()) {
    for (const auto& [name, optimizer] : Optimizers()) {
      SCOPED_TRACE(std::string(c.name) + ", " + name);
      const NetworkHandle network = Create(TwoClassLayers());
      Network library = MakeNetwork(TwoClassLayers());
      const TrainStepOptions options{.optimizer = optimizer,
                                     .num_classes = 2,
                                     .losses = c.losses,
                                     .output_layer = c.output_layer,
                                     .margin = c.margin};
      for (int step = 0; step < 3; ++step) {
        const Numbers input = batches.Input(step);
        const auto got = network.TrainStep({.input = input, .labels = batches.labels, .options = options});
        ASSERT_TRUE(got.ok()) << got.status();
        const auto wanted = library.TrainStep(input.values, input.shape, batches.labels, options);
        ASSERT_TRUE(wanted.ok()) << wanted.status();
        ExpectSame(*got, *wanted);
        EXPECT_EQ(got->next_step, step + 1u);
      }
      EXPECT_EQ(BitsOf(network), BitsOf(library.Spec()));
      EXPECT_NE(BitsOf(network), BitsOf(MakeNetwork(TwoClassLayers()).Spec()));
    }
  }
}

TEST_P(TrainingSuite, AnInputThatIsRepeatedIsOneThatHasAllSteps) {
  const Batches batches;
  const Numbers step({8, 6}, 1);
  std::vector<float> steps;
  for (int t = 0; t < 5; ++t) steps.insert(steps.end(), step.values.begin(), step.values.end());
  const TrainStepOptions options{.optimizer = Sgd{}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}};
  const NetworkHandle once = Create(TwoClassLayers()), whole = Create(TwoClassLayers());
  const auto a = once.TrainStep({.input = step, .labels = batches.labels, .options = options, .repeat_input = 5});
  const auto b = whole.TrainStep(
      {.input = TensorView(absl::MakeConstSpan(steps), {5, 8, 6}), .labels = batches.labels, .options = options});
  ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
  ExpectSame(*a, *b);
  EXPECT_EQ(BitsOf(once), BitsOf(whole));
}

TEST_P(TrainingSuite, TrainStepLeavesModeThresholdsAndGradientsAndResetsTheRest) {
  const Batches batches;
  const NetworkHandle network = Create(TwoClassLayers());
  const Numbers input({5, 8, 6}, 1), grad({5, 8, 4}, 2);
  ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  ASSERT_TRUE(network.Backward({.grad_output = grad}).ok());
  ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  const auto before = network.Get({.include_state = true, .include_gradients = true});
  EXPECT_FALSE(before->state.sample_shape.empty());
  const TrainStepOptions options{
      .optimizer = Sgd{}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}, .margin = TrainingMargin{}};
  ASSERT_TRUE(network.TrainStep({.input = input, .labels = batches.labels, .options = options}).ok());
  const auto after = network.Get({.include_state = true, .include_gradients = true});
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_FALSE(after->training);
  EXPECT_EQ(std::get<float>(std::get<RifNode>(after->layers.back().kind).v_threshold), 0.75f);
  ExpectSame(after->gradients, before->gradients);
  EXPECT_TRUE(after->state.sample_shape.empty());
  for (const LayerState& state : after->state.layers) EXPECT_TRUE(state.v.empty() && state.current.empty());
  EXPECT_EQ(network.Backward({.grad_output = grad}).status().code(), absl::StatusCode::kFailedPrecondition);
}

// --- Numbers of changes.

TEST_P(TrainingSuite, ARepeatedCallIsCarriedOutOnceAndAWrongNumberIsRefused) {
  const Batches batches;
  const NetworkHandle network = Create(TwoClassLayers());
  const Numbers input({2, 8, 6}, 1), grad({2, 8, 4}, 2);
  const TrainStepOptions options{.optimizer = Adam{}, .num_classes = 2, .losses = {{.kind = CountLoss{}}}};
  std::optional<double> loss;
  // Each gives the number of the next change, of which a repeated call must give the same one.
  const std::vector<std::pair<const char*, std::function<absl::StatusOr<uint64_t>(uint64_t)>>> calls = {
      {"Backward",
       [&](uint64_t step) -> absl::StatusOr<uint64_t> {
         const auto result = network.Backward(
             {.grad_output = grad, .compute_grad_input = true, .include_gradients = true, .step = step});
         if (!result.ok()) return result.status();
         EXPECT_EQ(result->grad_input->shape(), input.shape);
         EXPECT_THAT(result->gradients, SizeIs(7));
         return result->next_step;
       }},
      {"ApplyGradients",
       [&](uint64_t step) -> absl::StatusOr<uint64_t> {
         const auto result = network.ApplyGradients({.optimizer = Sgd{}, .step = step});
         if (!result.ok()) return result.status();
         return result->next_step;
       }},
      {"ZeroGradients",
       [&](uint64_t step) -> absl::StatusOr<uint64_t> {
         const auto result = client().Call(ZeroGradientsArgs{network.name(), step});
         if (!result.ok()) return result.status();
         return result->next_step;
       }},
      {"TrainStep",
       [&](uint64_t step) -> absl::StatusOr<uint64_t> {
         const auto result =
             network.TrainStep({.input = input, .labels = batches.labels, .options = options, .step = step});
         if (!result.ok()) return result.status();
         if (loss) {
           EXPECT_EQ(result->loss, *loss);
         }
         loss = result->loss;
         return result->next_step;
       }},
  };
  ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  uint64_t step = 1;
  for (const auto& [name, call] : calls) {
    SCOPED_TRACE(name);
    const GetNetworkArgs everything{.include_state = true, .include_optimizer_state = true, .include_gradients = true};
    for (const uint64_t wrong : {step + 1, step + 7, ~uint64_t{0}}) {
      const absl::Status status = call(wrong).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
      EXPECT_EQ(FieldOf(status), "step");
      EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(step)));
    }
    // The last number is that of another kind of call, which has no reply for this one.
    EXPECT_EQ(FieldOf(call(step - 1).status()), "step");
    const auto first = call(step);
    ASSERT_TRUE(first.ok()) << first.status();
    EXPECT_EQ(*first, step + 1);
    const auto after = network.Get(everything);
    const auto again = call(step);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, step + 1);
    const auto unchanged = network.Get(everything);
    EXPECT_EQ(unchanged->next_step, step + 1);
    EXPECT_EQ(BitsOf(unchanged->layers), BitsOf(after->layers));
    ExpectSame(unchanged->gradients, after->gradients);
    EXPECT_EQ(unchanged->optimizer_state.steps, after->optimizer_state.steps);
    ++step;
  }
}

}  // namespace
}  // namespace spikeserve::testing

// Steps of training that do not happen: each leaves the network as it was, to the bit.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "lib/untouched_testing.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// --- TrainStepArguments that are refused.

struct Refused {
  std::string field;
  std::function<void(TrainStepArguments&)> change;
};

LossTerm& FirstLoss(TrainStepArguments& a) { return a.options.losses[0]; }

void ExpectRefused(const std::vector<Refused>& all) {
  for (const auto& [field, change] : all) {
    SCOPED_TRACE(field);
    TrainStepArguments arguments;
    change(arguments);
    ExpectUntouched([&](Network& network) {
      const absl::Status status = arguments.Run(network);
      testing::Refusal(status, field);
      return status;
    });
  }
}

TEST(TrainStep, OfABadInputIsRefusedAndChangesNothing) {
  ExpectRefused({
      {"input", [](TrainStepArguments& a) { a.shape = {}; }},
      {"input", [](TrainStepArguments& a) { a.shape = {kSteps}; }},
      {"input",
       [](TrainStepArguments& a) {
         a.shape = {kSteps, kBatch, 7};
       }},
      {"input",
       [](TrainStepArguments& a) {
         a.shape = {kSteps, -kBatch, 6};
       }},
      {"input",
       [](TrainStepArguments& a) {
         a.shape = {int64_t{1} << 31, kBatch, 6};
       }},
      {"input",
       [](TrainStepArguments& a) {
         a.shape = {0, kBatch, 6}, a.input = {};
       }},
      {"input",
       [](TrainStepArguments& a) {
         a.shape = {kSteps, 0, 6}, a.input = {}, a.labels = {};
       }},
      {"input", [](TrainStepArguments& a) { a.input.pop_back(); }},
      {"input", [](TrainStepArguments& a) { a.input.back() = kNan; }},
  });
}

TEST(TrainStep, OfBadLabelsIsRefusedAndChangesNothing) {
  ExpectRefused({
      {"num_classes", [](TrainStepArguments& a) { a.options.num_classes = 0; }},
      {"num_classes", [](TrainStepArguments& a) { a.options.num_classes = -4; }},
      {"labels", [](TrainStepArguments& a) { a.labels.pop_back(); }},
      {"labels", [](TrainStepArguments& a) { a.labels.push_back(0); }},
      {"labels", [](TrainStepArguments& a) { a.labels.clear(); }},
      {"labels", [](TrainStepArguments& a) { a.labels[4] = 4; }},
      {"labels", [](TrainStepArguments& a) { a.labels[0] = -1; }},
      {"output_layer", [](TrainStepArguments& a) { a.options.num_classes = 5; }},
      {"output_layer", [](TrainStepArguments& a) { a.options.num_classes = 16; }},
      {"output_layer", [](TrainStepArguments& a) { a.options.num_classes = int64_t{1} << 62; }},
      {"output_layer", [](TrainStepArguments& a) { a.options.output_layer = "nobody"; }},
      {"output_layer", [](TrainStepArguments& a) { a.options.output_layer = "third"; }},
      {"output_layer",
       [](TrainStepArguments& a) {
         a.options.output_layer = "hidden";
         a.options.num_classes = 8;
       }},
  });
}

TEST(TrainStep, OfBadLossesIsRefusedAndChangesNothing) {
  ExpectRefused({
      {"losses", [](TrainStepArguments& a) { a.options.losses.clear(); }},
      {"losses[1].layer", [](TrainStepArguments& a) { a.options.losses[1].layer = "nobody"; }},
      {"losses[2].layer", [](TrainStepArguments& a) { a.options.losses[2].layer = "first"; }},
      {"losses[0].weight", [](TrainStepArguments& a) { FirstLoss(a).weight = kNan; }},
      {"losses[0].weight", [](TrainStepArguments& a) { FirstLoss(a).weight = -kInfinity; }},
      {"losses[0].weight", [](TrainStepArguments& a) { FirstLoss(a).weight = 1e39; }},
      // Neurons that are not a multiple of the classes: 20 of 8, of "hidden".
      {"losses[0].layer",
       [](TrainStepArguments& a) {
         a.options.num_classes = 8;
         FirstLoss(a) = {.layer = "hidden", .kind = CountLoss()};
       }},
      {"losses[0].layer",
       [](TrainStepArguments& a) {
         a.options.num_classes = 8;
         FirstLoss(a) = {.layer = "hidden", .kind = RateLoss()};
       }},
      {"losses[2].layer", [](TrainStepArguments& a) { a.options.num_classes = 8; }},
      {"losses[0].clusters.t_in", [](TrainStepArguments& a) { FirstLoss(a).kind = ClusterLoss{.t_in = -1}; }},
      {"losses[0].clusters.n_d", [](TrainStepArguments& a) { FirstLoss(a).kind = ClusterLoss{.n_d = kInfinity}; }},
      {"losses[0].clusters.n_d", [](TrainStepArguments& a) { FirstLoss(a).kind = ClusterLoss{.n_d = kNan}; }},
      {"losses[0].similarity.kernel.gaussian.sigma",
       [](TrainStepArguments& a) { FirstLoss(a).kind = SimilarityLoss{.kernel = GaussianKernel{0}}; }},
      {"losses[1].similarity.kernel.polynomial.d",
       [](TrainStepArguments& a) { a.options.losses[1].kind = SimilarityLoss{.kernel = PolynomialKernel{kNan}}; }},
      {"losses[0].similarity.kernel.sigmoid.alpha",
       [](TrainStepArguments& a) { FirstLoss(a).kind = SimilarityLoss{.kernel = SigmoidKernel{kInfinity}}; }},
      // Found out only when the steps have run: samples have more than one spike in common.
      {"losses[1].similarity.loss_type",
       [](TrainStepArguments& a) {
         a.options.losses[1].kind = SimilarityLoss{.kernel = PolynomialKernel{2}, .loss_type = LossType::kBce};
       }},
      {"margin.threshold0", [](TrainStepArguments& a) { a.options.margin->threshold0 = kNan; }},
      {"margin.threshold1", [](TrainStepArguments& a) { a.options.margin->threshold1 = kNan; }},
      {"optimizer.adam.epsilon", [](TrainStepArguments& a) { a.options.optimizer = Adam{.epsilon = 0}; }},
      {"optimizer.sgd.momentum", [](TrainStepArguments& a) { a.options.optimizer = Sgd{.momentum = 1}; }},
  });
}

TEST(TrainStep, OfANetworkThatDoesNotSpikeIsRefused) {
  Network network = MakeNetwork({{.name = "fc", .kind = RandomLinear(6, 4, 1)}});
  const Snapshot before = SnapshotOf(network);
  TrainStepArguments arguments;
  arguments.options.losses.resize(1);
  testing::Refusal(arguments.Run(network), "output_layer");
  EXPECT_EQ(SnapshotOf(network), before);
}

TEST(TrainStep, OfOutputsThatAreNotAMatrixIsRefused) {
  Network network = MakeNetwork({{.name = "out", .kind = IfNode()}});
  TrainStepArguments arguments;
  arguments.options.losses.resize(1);
  arguments.shape = {3, 5, 3, 2};
  testing::Refusal(arguments.Run(network), "output_layer");
  arguments.shape = {18, 5};
  testing::Refusal(arguments.Run(network), "output_layer");
}

TEST(TrainStep, OfThresholdsOfAnotherBatchIsRefused) {
  std::vector<LayerSpec> layers = LearningLayers();
  std::get<PlifNode>(layers.back().kind).v_threshold = ThresholdTensor{{2, 8}, std::vector<float>(16, 0.75f)};
  Network network = MakeNetwork(layers);
  const Snapshot before = SnapshotOf(network);
  testing::Refusal(TrainStepArguments().Run(network), "input");
  EXPECT_EQ(SnapshotOf(network), before);
}

// --- Numbers that are not finite.

// Linear-LIF, and a step of one kind of loss, in the middle of a sequence.
struct SmallCase {
  LinearLayer linear = RandomLinear(2, 4, 1);
  std::vector<float> input = {1, 0.5f, 0.25f, 1};
  TrainStepOptions options = {.optimizer = Sgd{.learning_rate = 0.1}, .num_classes = 2, .losses = {}};

  // Its message, which blames `field`.
  std::string Failure(const std::string& field) const {
    LifNode node;
    node.monitor = true;
    const std::vector<LayerSpec> layers = {
        {.name = "fc", .kind = linear}, {.name = "drop", .kind = Dropout{.p = 0.1}}, {.name = "out", .kind = node}};
    Network network = MakeNetwork(layers), other = MakeNetwork(layers);
    for (Network* n : {&network, &other}) {
      EXPECT_TRUE(n->Forward(std::vector<float>(3 * 2), {1, 3, 2}, {.keep_trace = true}).ok());
    }
    const auto step = network.TrainStep(input, {1, 2, 2}, {0, 1}, options);
    EXPECT_EQ(step.status().code(), absl::StatusCode::kFailedPrecondition) << step.status();
    EXPECT_EQ(FieldOf(step.status()), field) << step.status();
    EXPECT_EQ(SnapshotOf(network), SnapshotOf(other));
    EXPECT_EQ(network.trace_steps(), 1);
    return std::string(step.status().message());
  }
};

TEST(TrainStep, ALossThatIsNotFiniteEndsTheStepBeforeTheUpdate) {
  SmallCase c;
  c.options.losses = {{.kind = RateLoss()}, {.kind = ClusterLoss{.n_d = 7}}};
  c.linear.weight.setConstant(3e38f);
  c.input = {1e9f, 1, 1e9f, 1};
  EXPECT_THAT(c.Failure("losses"), HasSubstr("inf"));
  // Not even where it does not count.
  c.options.losses[1].weight = 0;
  EXPECT_THAT(c.Failure("losses"), HasSubstr("nan"));
}

TEST(TrainStep, VoltagesThatAreNotNumbersEndTheStepBeforeTheUpdate) {
  SmallCase c;
  c.options.losses = {{.kind = RateLoss()}, {.kind = ClusterLoss()}};
  c.linear.weight.col(0).setConstant(3e38f);
  c.linear.weight.col(1).setConstant(-3e38f);
  c.input = {1e9f, 1e9f, 1e9f, 1e9f};
  EXPECT_THAT(c.Failure("losses[1]"), HasSubstr("NaN"));
}

TEST(TrainStep, GradientsThatAreNotFiniteEndTheStepBeforeTheUpdate) {
  SmallCase c;
  c.options.losses = {{.weight = 3e38, .kind = RateLoss()}};
  c.input = {1e9f, 1e9f, 1e9f, 1e9f};
  c.linear.weight *= 1e-9f;
  EXPECT_THAT(c.Failure("gradients"), HasSubstr("fc.weight"));
}

TEST(TrainStep, ParametersThatWouldNotBeFiniteEndTheStepBeforeTheUpdate) {
  SmallCase c;
  c.options.losses = {{.weight = 1e6, .kind = RateLoss()}};
  c.options.optimizer = Sgd{.learning_rate = 3e38};
  EXPECT_THAT(c.Failure("optimizer"), HasSubstr("fc.weight"));
}

// --- Steps that nobody wants any more.

TEST(TrainStep, ThatIsGivenUpAtAnyTimeChangesNothing) {
  // More elements than a block, so that it can be given up between blocks.
  TrainStepArguments arguments;
  arguments.shape = {40, 700, 6};
  arguments.input = RandomNumbers(40 * 700 * 6, 3);
  arguments.labels.assign(700, 1);
  // `wanted` may be asked from any thread.
  std::atomic<int> asked = 0;
  Network whole = Busy(true);
  ASSERT_TRUE(arguments
                  .Run(whole,
                       [&] {
                         ++asked;
                         return absl::OkStatus();
                       })
                  .ok());
  const int questions = asked;
  EXPECT_GE(questions, 2 * 8 + 2 * 8);  // Before each layer, on the way there and back through two blocks.
  for (int k = 0; k < questions; k += std::max(1, questions / 40)) {
    SCOPED_TRACE(k);
    Network network = Busy(k % 2 == 0), other = Busy(k % 2 == 0);
    asked = 0;
    const absl::Status status =
        arguments.Run(network, [&] { return asked++ == k ? absl::CancelledError("nobody waits") : absl::OkStatus(); });
    EXPECT_EQ(status, absl::CancelledError("nobody waits"));
    EXPECT_EQ(asked, k + 1);  // At once.
    ASSERT_EQ(SnapshotOf(network), SnapshotOf(other));
  }
}

TEST(TrainStep, ThatIsGivenUpLeavesTheTraceAndAllElse) {
  for (const int k : {0, 4}) {
    std::atomic<int> asked = 0;
    ExpectUntouched([&](Network& network) {
      asked = 0;
      return TrainStepArguments().Run(
          network, [&] { return asked++ == k ? absl::CancelledError("nobody waits") : absl::OkStatus(); });
    });
  }
}

// Layers on planes know the shape of what they work on: a trace is of one, the step of another.
TEST(TrainStep, ThatIsGivenUpLeavesTheTraceOfOtherPlanes) {
  const std::vector<LayerSpec> layers = {
      {.name = "conv", .kind = Conv2d{.weight_shape = {4, 2, 3, 3}, .weight = RandomNumbers(4 * 2 * 9, 1)}},
      {.name = "norm", .kind = BatchNorm2d{.num_features = 4}},
      {.name = "max", .kind = MaxPool2d{.kernel = {2, 2}}},
      {.name = "mean", .kind = AvgPool2d{.kernel = {2, 1}}},
      {.name = "flat", .kind = Flatten{}},
      {.name = "out", .kind = IfNode()}};
  for (const bool training : {false, true}) {
    for (const Shape& shape : {Shape{2, 5, 2, 14, 9}, Shape{2, 3, 2, 6, 9}, Shape{2, 1, 2, 10, 4}}) {
      SCOPED_TRACE(absl::StrCat("training ", training, ", step of ", ShapeString(shape)));
      std::vector<float> grad_inputs[2];
      Snapshot snapshots[2];
      for (const bool gives_up : {false, true}) {
        Network network = MakeNetwork(layers);
        network.SetTraining(training);
        const Shape traced = {3, 2, 2, 10, 9};
        const auto forward = network.Forward(RandomNumbers(*ElementCount(traced), 3), traced, {.keep_trace = true});
        ASSERT_TRUE(forward.ok()) << forward.status();
        if (gives_up) {
          const std::vector<int64_t> labels(shape[1], 1);
          const auto step = network.TrainStep(RandomNumbers(*ElementCount(shape), 4), shape, labels,
                                              {.optimizer = Sgd(), .num_classes = 2, .losses = {{.kind = RateLoss()}}},
                                              InlineExecutor(), [] { return absl::CancelledError(); });
          ASSERT_EQ(step.status(), absl::CancelledError());
        }
        const std::vector<float> grad = RandomNumbers(static_cast<int64_t>(forward->output.size()), 5);
        const auto backward = network.Backward({.grad_output = grad, .compute_grad_input = true});
        ASSERT_TRUE(backward.ok()) << backward.status();
        grad_inputs[gives_up] = backward->grad_input;
        snapshots[gives_up] = SnapshotOf(network);
      }
      EXPECT_EQ(grad_inputs[true], grad_inputs[false]);
      EXPECT_EQ(snapshots[true], snapshots[false]);
    }
  }
}

}  // namespace
}  // namespace spikeserve

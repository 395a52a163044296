// What a network has beside its layers: taken out of one and put into another, which then goes on as the first one
// would.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Some steps in the middle of a sequence. [steps, 2, 6].
ForwardResult RunSteps(Network& network, int64_t steps, uint32_t seed) {
  const RecordRequest records[] = {{.layer = "hidden", .spikes = true, .v_before_reset = true, .v_after_reset = true},
                                   {.layer = "rif", .spikes = true, .v_before_reset = true, .v_after_reset = true}};
  return Forward(network, RandomNumbers(steps * 2 * 6, seed), {steps, 2, 6}, records);
}

TrainStepResult Train(Network& network, const Optimizer& optimizer, uint32_t seed) {
  const auto step =
      network.TrainStep(RandomNumbers(4 * 3 * 6, seed), {4, 3, 6}, {1, 0, 3},
                        {.optimizer = optimizer,
                         .num_classes = 4,
                         .losses = {{.kind = RateLoss()}, {.layer = "hidden", .kind = SimilarityLoss()}}});
  EXPECT_TRUE(step.ok()) << step.status();
  return *step;
}

const Optimizer kSgd = Sgd{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01};
const Optimizer kAdam = Adam{.learning_rate = 0.01};

// What a network may have behind it.
struct Past {
  const char* name;
  std::function<void(Network&)> live;
};
const Past kPasts[] = {
    {"nothing", [](Network&) {}},
    {"steps in evaluation", [](Network& n) { RunSteps(n, 3, 1); }},
    {"steps in training",
     [](Network& n) {
       n.SetTraining(true);
       RunSteps(n, 3, 1);
     }},
    {"masks",
     [](Network& n) {
       n.SetTraining(true);
       for (int i = 0; i < 3; ++i) {
         RunSteps(n, 1, 1);
         n.Reset();
       }
     }},
    {"steps in training, then in evaluation",
     [](Network& n) {
       n.SetTraining(true);
       RunSteps(n, 3, 1);
       n.SetTraining(false);
       RunSteps(n, 2, 2);
     }},
    {"learning with momentum", [](Network& n) { Train(n, kSgd, 1), Train(n, kSgd, 2); }},
    {"learning with Adam, then steps in training",
     [](Network& n) {
       for (const uint32_t seed : {1, 2, 3}) Train(n, kAdam, seed);
       n.SetTraining(true);
       RunSteps(n, 3, 1);
     }},
    {"back-propagation",
     [](Network& n) {
       ASSERT_TRUE(n.Forward(RandomNumbers(2 * 2 * 6, 1), {2, 2, 6}, {.keep_trace = true}).ok());
       ASSERT_TRUE(n.Backward({.grad_output = RandomNumbers(2 * 2 * 8, 2)}).ok());
     }},
    {"a step without samples",
     [](Network& n) {
       Forward(n, {}, {3, 0, 6});
     }},
};

// But for the monitors' records, which begin anew.
Snapshot WithoutMonitors(const Network& network) {
  Snapshot snapshot = SnapshotOf(network);
  std::erase_if(snapshot, [](const auto& entry) { return entry.first.find("monitor") != std::string::npos; });
  return snapshot;
}

void Restore(const Network& from, Network& to) {
  to.SetTraining(from.training());
  ASSERT_TRUE(to.SetState(from.State()).ok());
  ASSERT_TRUE(to.SetOptimizerState(from.GetOptimizerState()).ok());
  ASSERT_TRUE(to.SetGradients(from.Gradients()).ok());
}

TEST(NetworkState, WithItACopyGoesOnToTheBitWhateverItDidBefore) {
  for (const Past& past : kPasts) {
    for (const Past& copys_past : kPasts) {
      SCOPED_TRACE(std::string(past.name) + ", put into a network with " + copys_past.name + " behind it");
      Network network = MakeNetwork(LearningLayers());
      past.live(network);
      Network other = MakeNetwork(LearningLayers());
      copys_past.live(other);
      // Its parameters are those of `network`, all else is its own.
      Network copy = MakeNetwork(network.Spec());
      Restore(other, copy);
      Restore(network, copy);
      EXPECT_EQ(WithoutMonitors(copy), WithoutMonitors(network));

      if (network.State().sample_shape != Shape{0, 6}) {
        const ForwardResult got = RunSteps(copy, 4, 7), wanted = RunSteps(network, 4, 7);
        EXPECT_EQ(got.output, wanted.output);
        for (size_t r = 0; r < wanted.records.size(); ++r) {
          EXPECT_EQ(got.records[r].spikes, wanted.records[r].spikes);
          EXPECT_EQ(got.records[r].v_before_reset, wanted.records[r].v_before_reset);
          EXPECT_EQ(got.records[r].v_after_reset, wanted.records[r].v_after_reset);
        }
      }
      for (const Optimizer& optimizer : {kAdam, kSgd}) {
        EXPECT_EQ(Train(copy, optimizer, 9).losses, Train(network, optimizer, 9).losses);
        EXPECT_EQ(SnapshotOf(copy), SnapshotOf(network));
      }
    }
  }
}

TEST(NetworkState, TellsOnlyOfLayersThatHaveOne) {
  Network network = MakeNetwork(LearningLayers());
  EXPECT_THAT(network.State().layers, IsEmpty());
  EXPECT_THAT(network.State().sample_shape, IsEmpty());
  RunSteps(network, 1, 1);
  const NetworkState state = network.State();
  EXPECT_EQ(state.sample_shape, (Shape{2, 6}));
  ASSERT_THAT(state.layers, SizeIs(4));
  EXPECT_EQ(state.layers[0].layer, "synapse");
  EXPECT_THAT(state.layers[0].current, SizeIs(2 * 6));
  EXPECT_EQ(state.layers[1].layer, "hidden");
  EXPECT_THAT(state.layers[1].v, SizeIs(2 * 20));
  EXPECT_THAT(state.layers[1].current, IsEmpty());
  EXPECT_EQ(state.layers[3].layer, "out");
  network.Reset();
  EXPECT_THAT(network.State().layers, IsEmpty());
}

TEST(NetworkState, OfOneLayerAloneLeavesTheOthersInTheirInitialOne) {
  Network network = MakeNetwork(LearningLayers());
  RunSteps(network, 3, 1);
  NetworkState state = network.State();
  std::erase_if(state.layers, [](const LayerState& layer) { return layer.layer != "rif"; });
  state.layers.push_back({.layer = "out"});  // None.
  ASSERT_TRUE(network.SetState(state).ok());
  state.layers.pop_back();
  ASSERT_THAT(network.State().layers, SizeIs(1));
  EXPECT_EQ(network.State().layers[0].v, state.layers[0].v);
  // The others have what they have after a reset.
  Network from_start = MakeNetwork(LearningLayers());
  const RecordRequest hidden{.layer = "hidden", .v_before_reset = true};
  const std::vector<float> input = RandomNumbers(2 * 6, 1);
  EXPECT_EQ(Forward(network, input, {1, 2, 6}, {&hidden, 1}).records[0].v_before_reset,
            Forward(from_start, input, {1, 2, 6}, {&hidden, 1}).records[0].v_before_reset);
}

TEST(NetworkState, TakesInfiniteVoltages) {
  Network network = MakeNetwork(LearningLayers());
  RunSteps(network, 1, 1);
  NetworkState state = network.State();
  for (LayerState& layer : state.layers) {
    if (!layer.v.empty()) layer.v[0] = -kInfinity;
  }
  ASSERT_TRUE(network.SetState(state).ok());
  EXPECT_EQ(network.State().layers[1].v[0], -kInfinity);
}

// --- What does not fit.

// With a state in all layers that can have one: 0 "synapse", 1 "drop", 2 "hidden", 3 "rif", 4 "out"; and a trace.
Network InTraining() {
  Network network = MakeNetwork(LearningLayers());
  network.SetTraining(true);
  EXPECT_TRUE(network.Forward(RandomNumbers(3 * 2 * 6, 1), {3, 2, 6}, {.keep_trace = true}).ok());
  EXPECT_THAT(network.State().layers, SizeIs(5));
  return network;
}

TEST(NetworkState, ThatDoesNotFitIsRefusedAndChangesNothing) {
  using Change = std::function<void(NetworkState&)>;
  const std::vector<std::pair<std::string, Change>> bad = {
      {"state.sample_shape",
       [](NetworkState& s) {
         s.sample_shape = {2, 7};
       }},
      {"state.sample_shape", [](NetworkState& s) { s.sample_shape = {2}; }},
      {"state.sample_shape",
       [](NetworkState& s) {
         s.sample_shape = {-2, 6};
       }},
      {"state.sample_shape",
       [](NetworkState& s) {
         s.sample_shape = {int64_t{1} << 62, 6};
       }},
      {"state.layers[0].current",
       [](NetworkState& s) {
         s.sample_shape = {3, 6};
       }},
      {"state.layers[0]", [](NetworkState& s) { s.sample_shape = {}; }},
      {"state.layers[4].layer", [](NetworkState& s) { s.layers[4].layer = "nobody"; }},
      {"state.layers[4].layer", [](NetworkState& s) { s.layers[4].layer = ""; }},
      {"state.layers[3].layer", [](NetworkState& s) { s.layers[3].layer = "hidden"; }},
      {"state.layers[4].v", [](NetworkState& s) { s.layers[4].layer = "first"; }},
      {"state.layers[0].current", [](NetworkState& s) { s.layers[0].current.pop_back(); }},
      {"state.layers[0].current", [](NetworkState& s) { s.layers[0].current[11] = kNan; }},
      {"state.layers[0].v", [](NetworkState& s) { s.layers[0].v = s.layers[0].current; }},
      {"state.layers[0].mask", [](NetworkState& s) { s.layers[0].mask = s.layers[0].current; }},
      {"state.layers[0].masks_drawn", [](NetworkState& s) { s.layers[0].masks_drawn = 1; }},
      {"state.layers[1].mask", [](NetworkState& s) { s.layers[1].mask.push_back(0); }},
      {"state.layers[1].mask", [](NetworkState& s) { s.layers[1].mask[3] = kNan; }},
      {"state.layers[1].mask", [](NetworkState& s) { s.layers[1].mask[3] = 1; }},
      {"state.layers[1].mask", [](NetworkState& s) { s.layers[1].mask[3] = kInfinity; }},
      {"state.layers[1].current", [](NetworkState& s) { s.layers[1].current = s.layers[1].mask; }},
      {"state.layers[4].v", [](NetworkState& s) { s.layers[4].v.push_back(0); }},
      {"state.layers[4].v", [](NetworkState& s) { s.layers[4].v[15] = kNan; }},
      {"state.layers[4].current", [](NetworkState& s) { s.layers[4].current = s.layers[4].v; }},
      {"state.layers[2].mask", [](NetworkState& s) { s.layers[2].mask = s.layers[2].v; }},
      {"state.layers[2].masks_drawn", [](NetworkState& s) { s.layers[2].masks_drawn = 1; }},
      {"state.layers[0].masks_drawn",
       [](NetworkState& s) {
         s = {{}, {{.layer = "out", .masks_drawn = 1}}};
       }},
  };
  for (const auto& [field, change] : bad) {
    SCOPED_TRACE(field);
    Network network = InTraining(), other = InTraining();
    NetworkState state = network.State();
    // Of another moment, so that what is half put in shows.
    for (LayerState& layer : state.layers) {
      for (std::vector<float>* values : {&layer.v, &layer.current}) {
        for (float& value : *values) value += 1;
      }
    }
    change(state);
    testing::Refusal(network.SetState(state), field);
    EXPECT_EQ(SnapshotOf(network), SnapshotOf(other));
    const std::vector<float> grad = RandomNumbers(3 * 2 * 8, 1);
    EXPECT_TRUE(network.Backward({.grad_output = grad}).ok());
    EXPECT_TRUE(other.Backward({.grad_output = grad}).ok());
    EXPECT_EQ(RunSteps(network, 2, 3).output, RunSteps(other, 2, 3).output);
    EXPECT_EQ(SnapshotOf(network), SnapshotOf(other));
  }
}

TEST(NetworkState, OfThresholdsForAnotherBatchIsRefused) {
  std::vector<LayerSpec> layers = LearningLayers();
  Network network = MakeNetwork(layers);
  RunSteps(network, 1, 1);
  std::get<PlifNode>(layers.back().kind).v_threshold = ThresholdTensor{{3, 8}, std::vector<float>(24, 1.0f)};
  Network other = MakeNetwork(layers);
  EXPECT_THAT(testing::Refusal(other.SetState(network.State()), "state.sample_shape"), HasSubstr("[3, 8]"));
}

// --- The trace's.

TEST(Trace, TheShapesOfATraceAreThoseOfItsStepsAndLayers) {
  Network network = MakeNetwork({{.name = "fc", .kind = RandomLinear(3, 4, 1)},
                                 {.name = "out", .kind = PlifNode()},
                                 {.name = "mask", .kind = Dropout{0.5, 9}}});
  EXPECT_EQ(network.TracedShape(), std::nullopt);
  const std::vector<float> input = RandomNumbers(5 * 2 * 3, 1);
  ASSERT_TRUE(network.Forward(absl::MakeSpan(input).first(12), {2, 2, 3}, {.keep_trace = true}).ok());
  ASSERT_TRUE(network.Forward(absl::MakeSpan(input).subspan(12), {3, 2, 3}, {.keep_trace = true}).ok());
  EXPECT_EQ(network.TracedShape(), Shape({5, 2, 4}));
  EXPECT_EQ(network.TracedShape("out"), Shape({5, 2, 4}));
  EXPECT_EQ(network.TracedShape("nobody"), std::nullopt);
  network.Reset();
  EXPECT_EQ(network.TracedShape("out"), std::nullopt);
}

// --- The optimiser's.

TEST(OptimizerState, BeginsEmptyAndCanBeTakenBack) {
  Network network = MakeNetwork(LearningLayers());
  const Snapshot before = SnapshotOf(network);
  const OptimizerState empty = network.GetOptimizerState();
  EXPECT_FALSE(empty.optimizer.has_value());
  EXPECT_EQ(empty.steps, 0);
  EXPECT_THAT(empty.first_moments, IsEmpty());
  EXPECT_THAT(empty.second_moments, IsEmpty());
  ASSERT_TRUE(network.ApplyGradients(Adam{.learning_rate = 0}).ok());
  EXPECT_NE(SnapshotOf(network), before);
  ASSERT_TRUE(network.SetOptimizerState(empty).ok());
  EXPECT_EQ(SnapshotOf(network), before);
}

TEST(OptimizerState, HasOneTensorForEachParameterOfItsShapeInAnyOrder) {
  Network network = MakeNetwork(LearningLayers());
  Train(network, kAdam, 1);
  const Snapshot before = SnapshotOf(network);
  OptimizerState state = network.GetOptimizerState();
  ASSERT_THAT(state.first_moments, SizeIs(9));
  EXPECT_EQ(state.first_moments[0].layer + "." + state.first_moments[0].parameter, "synapse.p");
  EXPECT_EQ(state.first_moments[0].shape, Shape());
  EXPECT_EQ(state.first_moments[1].layer + "." + state.first_moments[1].parameter, "first.weight");
  EXPECT_EQ(state.first_moments[1].shape, (Shape{20, 6}));
  std::reverse(state.first_moments.begin(), state.first_moments.end());
  std::swap(state.second_moments[1], state.second_moments[5]);
  ASSERT_TRUE(network.SetOptimizerState(state).ok());
  EXPECT_EQ(SnapshotOf(network), before);
}

TEST(OptimizerState, ThatDoesNotFitIsRefusedAndChangesNothing) {
  using Change = std::function<void(OptimizerState&)>;
  const std::vector<std::pair<std::string, Change>> bad = {
      {"optimizer_state.optimizer", [](OptimizerState& s) { s.optimizer.reset(); }},
      {"optimizer_state.optimizer", [](OptimizerState& s) { s = OptimizerState(), s.steps = 1; }},
      {"optimizer_state.optimizer.adam.beta2", [](OptimizerState& s) { s.optimizer = Adam{.beta2 = 1}; }},
      {"optimizer_state.optimizer.sgd.momentum", [](OptimizerState& s) { s.optimizer = Sgd{.momentum = -1}; }},
      {"optimizer_state.steps", [](OptimizerState& s) { s.steps = -1; }},
      {"optimizer_state.steps", [](OptimizerState& s) { s.steps = std::numeric_limits<int64_t>::max(); }},
      {"optimizer_state.first_moments", [](OptimizerState& s) { s.first_moments.clear(); }},
      {"optimizer_state.first_moments", [](OptimizerState& s) { s.first_moments.pop_back(); }},
      {"optimizer_state.first_moments[9]",
       [](OptimizerState& s) { s.first_moments.push_back(s.first_moments.front()); }},
      {"optimizer_state.first_moments",
       [](OptimizerState& s) {
         s.first_moments.push_back(s.first_moments.front());
         s.first_moments.back().layer = "nobody";
       }},
      {"optimizer_state.first_moments", [](OptimizerState& s) { s.first_moments[2].parameter = "g"; }},
      {"optimizer_state.first_moments[1]",
       [](OptimizerState& s) {
         s.first_moments[1].shape = {6, 20};
       }},
      {"optimizer_state.first_moments[1]", [](OptimizerState& s) { s.first_moments[1].values.pop_back(); }},
      {"optimizer_state.first_moments[1]", [](OptimizerState& s) { s.first_moments[1].values[119] = kNan; }},
      {"optimizer_state.first_moments[0]", [](OptimizerState& s) { s.first_moments[0].values[0] = kInfinity; }},
      {"optimizer_state.second_moments", [](OptimizerState& s) { s.second_moments.clear(); }},
      {"optimizer_state.second_moments[2]",
       [](OptimizerState& s) {
         s.second_moments[2].shape = {4, 5};
       }},
      {"optimizer_state.second_moments[8]", [](OptimizerState& s) { s.second_moments[8].values[0] = kNan; }},
      {"optimizer_state.second_moments", [](OptimizerState& s) { s.second_moments[8].values[0] = -1e-9f; }},
      {"optimizer_state.second_moments", [](OptimizerState& s) { s.optimizer = Sgd(); }},
  };
  Network network = MakeNetwork(LearningLayers());
  for (const uint32_t seed : {1, 2}) Train(network, kAdam, seed);
  ASSERT_TRUE(network.Forward(RandomNumbers(2 * 6, 1), {1, 2, 6}, {.keep_trace = true}).ok());
  const Snapshot before = SnapshotOf(network);
  for (const auto& [field, change] : bad) {
    SCOPED_TRACE(field);
    OptimizerState state = network.GetOptimizerState();
    ++state.steps;  // So that what is half put in shows.
    change(state);
    testing::Refusal(network.SetOptimizerState(state), field);
    EXPECT_EQ(SnapshotOf(network), before);
  }
}

TEST(Gradients, ThatDoNotFitAreRefusedAndChangeNothing) {
  Network network = MakeNetwork(LearningLayers());
  ASSERT_TRUE(network.Forward(RandomNumbers(2 * 6, 1), {1, 2, 6}, {.keep_trace = true}).ok());
  ASSERT_TRUE(network.Backward({.grad_output = RandomNumbers(2 * 8, 1)}).ok());
  const Snapshot before = SnapshotOf(network);
  std::vector<ParameterTensor> gradients = network.Gradients();
  for (ParameterTensor& gradient : gradients) gradient.values[0] += 1;
  std::vector<ParameterTensor> bad = gradients;
  bad.pop_back();
  testing::Refusal(network.SetGradients(bad), "gradients");
  bad = gradients;
  bad[7].shape = {7};
  testing::Refusal(network.SetGradients(bad), "gradients[7]");
  bad = gradients;
  bad[3].values[0] = kInfinity;
  testing::Refusal(network.SetGradients(bad), "gradients[3]");
  EXPECT_EQ(SnapshotOf(network), before);
  ASSERT_TRUE(network.SetGradients(gradients).ok());
  for (size_t p = 0; p < gradients.size(); ++p) EXPECT_EQ(network.Gradients()[p].values, gradients[p].values);
}

}  // namespace
}  // namespace spikeserve

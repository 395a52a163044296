#include "spikeserve/compute/network.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/field_error.h"
#include "support/golden.h"

namespace spikeserve {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

template <typename Node>
Node Monitored(Node node = {}) {
  node.monitor = true;
  return node;
}

// Every kind of layer; takes [batch, 6].
std::vector<LayerSpec> AllKinds() {
  RifNode rif;
  rif.init_w = 0.3;
  rif.bounds = {-0.5, 0.5};
  LifNode lif;
  lif.tau = 2;
  lif.v_threshold = 0.6f;
  std::vector<LayerSpec> specs;
  specs.push_back({.name = "in", .kind = RandomLinear(6, 9, 1)});
  specs.push_back({.name = "rif", .kind = Monitored(rif)});
  specs.push_back({.name = "drop", .kind = Dropout{.p = 0.25, .seed = 7}});
  specs.push_back({.name = "synapse", .kind = LowPassSynapse{.tau = 4}});
  specs.push_back({.name = "hidden", .kind = RandomLinear(9, 5, 2)});
  specs.push_back({.name = "plif", .kind = PlifNode()});
  specs.push_back({.name = "if", .kind = IfNode()});
  specs.push_back({.name = "out", .kind = Monitored(lif)});
  return specs;
}

// --- Create.

TEST(NetworkCreate, ANetworkNeedsLayers) { EXPECT_EQ(FieldOf(Network::Create({}).status()), "layers"); }

TEST(NetworkCreate, LayersWithoutNamesAreNamedByIndex) {
  const Network network = MakeNetwork({{.name = "", .kind = IfNode()}, {.name = "", .kind = LifNode()}});
  EXPECT_EQ(network.Spec()[0].name, "0");
  EXPECT_EQ(network.Spec()[1].name, "1");
}

TEST(NetworkCreate, ANameIsRefusedTheSecondTime) {
  const auto twice = Network::Create({{.name = "a", .kind = IfNode()}, {.name = "a", .kind = IfNode()}});
  EXPECT_EQ(FieldOf(twice.status()), "layers[1].name");
  const auto index = Network::Create({{.name = "1", .kind = IfNode()}, {.name = "", .kind = IfNode()}});
  EXPECT_EQ(FieldOf(index.status()), "layers[1].name");
}

TEST(NetworkCreate, LinearLayersMustFitThroughTheLayersBetween) {
  const auto bad = Network::Create({{.name = "", .kind = RandomLinear(3, 4, 1)},
                                    {.name = "", .kind = IfNode()},
                                    {.name = "", .kind = RandomLinear(5, 2, 1)}});
  EXPECT_EQ(FieldOf(bad.status()), "layers[2].linear.weight");
  EXPECT_THAT(std::string(bad.status().message()), HasSubstr("[2, 5]"));
  EXPECT_THAT(std::string(bad.status().message()), HasSubstr("[out, 4]"));
}

TEST(NetworkCreate, ParametersOutOfRangeAreRefusedByName) {
  LinearLayer linear = RandomLinear(3, 4, 1);
  linear.bias.pop_back();
  EXPECT_EQ(FieldOf(Network::Create({{.name = "", .kind = linear}}).status()), "layers[0].linear.bias");
  linear.bias = {0, 0, 0, std::numeric_limits<float>::infinity()};
  EXPECT_EQ(FieldOf(Network::Create({{.name = "", .kind = linear}}).status()), "layers[0].linear.bias");
  linear.bias.clear();
  linear.weight(1, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(FieldOf(Network::Create({{.name = "", .kind = linear}}).status()), "layers[0].linear.weight");
  linear.weight.resize(0, 3);
  EXPECT_EQ(FieldOf(Network::Create({{.name = "", .kind = linear}}).status()), "layers[0].linear.weight");
  for (const double p : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(FieldOf(Network::Create({{.name = "", .kind = Dropout{.p = p}}}).status()), "layers[0].dropout.p");
  }
}

// --- Forward.

TEST(NetworkForward, OfAllStepsAtOnceGivesTheBitsOfSingleSteps) {
  constexpr int64_t kSteps = 12, kBatch = 11;
  const std::vector<float> input = RandomNumbers(kSteps * kBatch * 6, 5);
  const std::vector<RecordRequest> records = {{.layer = "out", .spikes = true, .v_after_reset = true},
                                              {.layer = "rif", .v_before_reset = true}};
  Network at_once = MakeNetwork(AllKinds());
  Network single = MakeNetwork(AllKinds());
  at_once.SetTraining(true);
  single.SetTraining(true);
  const ForwardResult all = Forward(at_once, input, {kSteps, kBatch, 6}, records);
  ForwardResult joined;
  joined.records.resize(2);
  const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  for (int64_t t = 0; t < kSteps; ++t) {
    const ForwardResult one =
        Forward(single, absl::MakeSpan(input).subspan(t * kBatch * 6, kBatch * 6), {1, kBatch, 6}, records);
    append(joined.output, one.output);
    append(joined.records[0].spikes, one.records[0].spikes);
    append(joined.records[0].v_after_reset, one.records[0].v_after_reset);
    append(joined.records[1].v_before_reset, one.records[1].v_before_reset);
  }
  EXPECT_TRUE(all.output_is_spikes);
  EXPECT_TRUE(all.output == joined.output);
  EXPECT_TRUE(all.records[0].spikes == joined.records[0].spikes);
  EXPECT_TRUE(all.records[0].v_after_reset == joined.records[0].v_after_reset);
  EXPECT_TRUE(all.records[1].v_before_reset == joined.records[1].v_before_reset);
  EXPECT_THAT(all.output, ::testing::Contains(1.0f));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(at_once.Monitors()[i].shape, single.Monitors()[i].shape);
    EXPECT_TRUE(at_once.Monitors()[i].spikes == single.Monitors()[i].spikes);
    EXPECT_TRUE(at_once.Monitors()[i].v_before_reset == single.Monitors()[i].v_before_reset);
  }
}

TEST(NetworkForward, ASampleGivesTheSameBitsInAnyBatch) {
  constexpr int64_t kSteps = 8, kBatch = 13;
  const std::vector<float> input = RandomNumbers(kSteps * kBatch * 6, 6);
  Network all = MakeNetwork(AllKinds());
  const ForwardResult together = Forward(all, input, {kSteps, kBatch, 6});
  for (int64_t b = 0; b < kBatch; ++b) {
    Network one = MakeNetwork(AllKinds());
    for (int64_t t = 0; t < kSteps; ++t) {
      const int64_t row = t * kBatch + b;
      const ForwardResult alone = Forward(one, absl::MakeSpan(input).subspan(row * 6, 6), {1, 1, 6});
      EXPECT_THAT(alone.output, ElementsAreArray(&together.output[row * 5], 5));
    }
  }
}

// Calls the body in reverse, in ranges that are as short as they may be.
class ReverseExecutor final : public Executor {
 public:
  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) override {
    ASSERT_GE(grain, 1);
    for (int64_t begin = (count - 1) / grain * grain; begin >= 0 && count > 0; begin -= grain) {
      body(begin, std::min(begin + grain, count));
    }
  }
};

TEST(NetworkForward, GivesTheSameBitsOnAnyExecutor) {
  std::vector<LayerSpec> specs = AllKinds();
  specs[0].kind = RandomLinear(6, 230, 8);
  specs[4].kind = RandomLinear(230, 200, 9);
  const std::vector<float> input = RandomNumbers(3 * 101 * 6, 10);
  Network one = MakeNetwork(specs), other = MakeNetwork(specs);
  one.SetTraining(true);
  other.SetTraining(true);
  ReverseExecutor reverse;
  EXPECT_TRUE(Forward(one, input, {3, 101, 6}).output == Forward(other, input, {3, 101, 6}, {}, reverse).output);
}

TEST(NetworkForward, RecordsAreInTheOrderOfTheRequestAndHoldWhatItAsksFor) {
  Network network = MakeNetwork(AllKinds());
  const std::vector<RecordRequest> records = {{.layer = "out", .v_after_reset = true},
                                              {.layer = "rif", .spikes = true},
                                              {.layer = "out", .v_before_reset = true}};
  const ForwardResult result = Forward(network, RandomNumbers(2 * 4 * 6, 1), {2, 4, 6}, records);
  ASSERT_EQ(result.records.size(), 3);
  EXPECT_EQ(result.records[0].layer, "out");
  EXPECT_EQ(result.records[0].shape, (Shape{2, 4, 5}));
  EXPECT_EQ(result.records[0].v_after_reset.size(), 40);
  EXPECT_TRUE(result.records[0].spikes.empty() && result.records[0].v_before_reset.empty());
  EXPECT_EQ(result.records[1].layer, "rif");
  EXPECT_EQ(result.records[1].shape, (Shape{2, 4, 9}));
  EXPECT_EQ(result.records[1].spikes.size(), 72);
  EXPECT_EQ(result.records[2].v_before_reset.size(), 40);
}

TEST(NetworkForward, WithoutStepsOrSamplesIsEmpty) {
  Network network = MakeNetwork(AllKinds());
  const std::vector<RecordRequest> records = {{.layer = "out", .spikes = true, .v_before_reset = true}};
  EXPECT_EQ(Forward(network, {}, {0, 3, 6}, records).shape, (Shape{0, 3, 5}));
  // No step, so the batch is not settled: another is welcome.
  const ForwardResult none = Forward(network, {}, {4, 0, 6}, records);
  EXPECT_EQ(none.shape, (Shape{4, 0, 5}));
  EXPECT_TRUE(none.output.empty());
  EXPECT_EQ(none.records[0].shape, (Shape{4, 0, 5}));
  EXPECT_EQ(network.Monitors()[0].shape, (Shape{4, 0, 9}));
  // As many steps as there may be take no time where there are no samples.
  Forward(network, {}, {(int64_t{1} << 31) - 1, 0, 6});
  EXPECT_EQ(network.Monitors()[0].shape[0], (int64_t{1} << 31) + 3);
}

TEST(NetworkForward, TakesAnyFeaturesWhereThereIsNoLinearLayer) {
  for (const Shape& shape : {Shape{2, 3}, Shape{2, 3, 2, 2}, Shape{2, 3, 0}}) {
    Network network = MakeNetwork({{.name = "", .kind = IfNode()}});
    const std::vector<float> input(*ElementCount(shape), 1.0f);
    const ForwardResult result = Forward(network, input, shape);
    EXPECT_EQ(result.shape, shape);
    EXPECT_THAT(result.output, Each(1.0f));
  }
}

TEST(NetworkForward, BadInputIsRefusedAndChangesNothing) {
  Network network = MakeNetwork(AllKinds()), untouched = MakeNetwork(AllKinds());
  network.SetTraining(true);
  untouched.SetTraining(true);
  const std::vector<float> first = RandomNumbers(3 * 4 * 6, 1), second = RandomNumbers(3 * 4 * 6, 2);
  EXPECT_TRUE(Forward(network, first, {3, 4, 6}).output == Forward(untouched, first, {3, 4, 6}).output);
  const int64_t bytes = network.ByteSize();

  EXPECT_EQ(Refusal(network, RandomNumbers(5 * 6, 3), {1, 5, 6}, "input"),
            "input: batch of 5; need 4, the batch of the network's state (ResetNet starts anew)");
  EXPECT_THAT(Refusal(network, RandomNumbers(4 * 7, 3), {1, 4, 7}, "input"), HasSubstr("steps of [4, 7]; need [4, 6]"));
  Refusal(network, RandomNumbers(4, 3), {1, 4}, "input");
  Refusal(network, RandomNumbers(24, 3), {4}, "input");
  Refusal(network, RandomNumbers(1, 3), {}, "input");
  EXPECT_THAT(Refusal(network, RandomNumbers(23, 3), {1, 4, 6}, "input"), HasSubstr("23 elements"));
  EXPECT_THAT(Refusal(network, {}, {-1, 4, 6}, "input"), HasSubstr("[-1, 4, 6]"));
  Refusal(network, {}, {int64_t{1} << 31, 0, 6}, "input");
  std::vector<float> with_nan = second;
  with_nan[17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Refusal(network, with_nan, {3, 4, 6}, "input"), HasSubstr("NaN at element 17"));
  for (const std::string layer : {"nobody", "in", "drop", "synapse"}) {
    const std::vector<RecordRequest> records = {{.layer = "out"}, {.layer = layer, .spikes = true}};
    EXPECT_THAT(Refusal(network, second, {3, 4, 6}, "records[1].layer", records), HasSubstr(layer));
  }

  EXPECT_EQ(network.ByteSize(), bytes);
  EXPECT_TRUE(Forward(network, second, {3, 4, 6}).output == Forward(untouched, second, {3, 4, 6}).output);
  EXPECT_TRUE(network.Monitors()[1].v_before_reset == untouched.Monitors()[1].v_before_reset);
}

// --- Reset, mode and thresholds.

TEST(NetworkReset, ReturnsStateAndMonitorsButKeepsThresholdsAndMode) {
  Network network = MakeNetwork(AllKinds());
  const std::vector<float> input = RandomNumbers(5 * 4 * 6, 1);
  const ForwardResult first = Forward(network, input, {5, 4, 6});
  const int64_t bytes = network.ByteSize();
  network.Reset();
  EXPECT_LT(network.ByteSize(), bytes);
  EXPECT_EQ(network.Monitors()[0].shape, Shape{0});
  EXPECT_TRUE(network.Monitors()[0].spikes.empty());
  EXPECT_TRUE(Forward(network, input, {5, 4, 6}).output == first.output);

  network.SetTraining(true);
  ASSERT_TRUE(network.SetThresholdMargin("out", std::vector<double>(20, 1.0), {4, 5}, {}).ok());
  network.Reset();
  EXPECT_TRUE(network.training());
  EXPECT_EQ(std::get<ThresholdTensor>(std::get<LifNode>(network.Spec()[7].kind).v_threshold).shape, (Shape{4, 5}));
  network.Reset();
  Network other_batch = MakeNetwork(AllKinds());
  Forward(other_batch, RandomNumbers(6, 1), {1, 1, 6});
  other_batch.Reset();
  Forward(other_batch, RandomNumbers(12, 1), {1, 2, 6});
}

TEST(NetworkResetAndRun, IsAResetAndWhatFollowsWhereThatSucceeds) {
  Network network = MakeNetwork(AllKinds()), other = MakeNetwork(AllKinds());
  for (Network* n : {&network, &other}) {
    n->SetTraining(true);
    Forward(*n, RandomNumbers(5 * 2 * 6, 1), {5, 2, 6});
  }
  // Of another batch, which only a reset allows.
  const std::vector<float> input = RandomNumbers(4 * 3 * 6, 2);
  std::vector<float> output;
  ASSERT_TRUE(network
                  .ResetAndRun([&] {
                    output = Forward(network, input, {4, 3, 6}).output;
                    return absl::OkStatus();
                  })
                  .ok());
  other.Reset();
  EXPECT_THAT(output, ElementsAreArray(Forward(other, input, {4, 3, 6}).output));
  EXPECT_THAT(Forward(network, input, {4, 3, 6}).output, ElementsAreArray(Forward(other, input, {4, 3, 6}).output));
  EXPECT_THAT(network.Monitors()[0].v_before_reset, ElementsAreArray(other.Monitors()[0].v_before_reset));
}

TEST(NetworkResetAndRun, IsNothingWhereWhatFollowsFails) {
  Network network = MakeNetwork(AllKinds()), other = MakeNetwork(AllKinds());
  const std::vector<float> input = RandomNumbers(5 * 2 * 6, 1);
  for (Network* n : {&network, &other}) {
    n->SetTraining(true);
    ASSERT_TRUE(n->Forward(input, {5, 2, 6}, {.keep_trace = true}).ok());
  }
  const int64_t bytes = network.ByteSize();
  const absl::Status failure = absl::CancelledError("no longer wanted");
  EXPECT_EQ(network.ResetAndRun([&] { return failure; }), failure);
  EXPECT_EQ(network.ResetAndRun([&] {
    Forward(network, RandomNumbers(4 * 3 * 6, 2), {4, 3, 6});
    return failure;
  }),
            failure);
  EXPECT_EQ(network.ByteSize(), bytes);
  // The trace, the monitors, the state and the masks that were drawn are those of before.
  const std::vector<float> gradient = RandomNumbers(5 * 2 * 5, 3);
  for (Network* n : {&network, &other}) {
    EXPECT_EQ(n->trace_steps(), 5);
    ASSERT_TRUE(n->Backward({.grad_output = gradient}).ok());
  }
  for (size_t k = 0; k < network.Gradients().size(); ++k) {
    EXPECT_THAT(network.Gradients()[k].values, ElementsAreArray(other.Gradients()[k].values));
  }
  for (size_t k = 0; k < network.Monitors().size(); ++k) {
    EXPECT_THAT(network.Monitors()[k].v_before_reset, ElementsAreArray(other.Monitors()[k].v_before_reset));
  }
  EXPECT_THAT(Forward(network, input, {5, 2, 6}).output, ElementsAreArray(Forward(other, input, {5, 2, 6}).output));
  network.Reset();
  other.Reset();
  EXPECT_THAT(Forward(network, input, {5, 2, 6}).output, ElementsAreArray(Forward(other, input, {5, 2, 6}).output));
}

TEST(SetThresholdMargin, IsTheReferences) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("set_threshold_margin")) {
    SCOPED_TRACE(golden.name);
    Network network = MakeNetwork({{.name = "out", .kind = IfNode()}});
    network.SetTraining(golden.params.at("training"));
    const Tensor& labels = golden.inputs.at("label_one_hot");
    const ThresholdMarginOptions options{.eval_threshold = golden.params.at("eval_threshold"),
                                         .threshold0 = golden.params.at("threshold0"),
                                         .threshold1 = golden.params.at("threshold1")};
    const auto set = network.SetThresholdMargin("out", labels.ToDoubles(), labels.shape(), options);
    ASSERT_TRUE(set.ok()) << set.status();
    const Tensor& wanted = golden.outputs.at("v_threshold");
    if (network.training()) {
      const auto& tensor = std::get<ThresholdTensor>(*set);
      EXPECT_EQ(tensor.shape, wanted.shape());
      EXPECT_THAT(tensor.values, ElementsAreArray(wanted.values<float>()));
    } else {
      EXPECT_EQ(std::get<float>(*set), wanted.values<float>()[0]);
    }
  }
}

TEST(SetThresholdMargin, InTrainingSetsAThresholdForEachNeuron) {
  Network network = MakeNetwork({{.name = "out", .kind = IfNode()}});
  network.SetTraining(true);
  ASSERT_TRUE(network.SetThresholdMargin("out", {0, 1}, {1, 2}, {}).ok());
  EXPECT_THAT(Forward(network, {1, 1}, {1, 1, 2}).output, ElementsAre(1, 0));
  network.SetTraining(false);
  ASSERT_TRUE(network.SetThresholdMargin("out", {0, 1}, {1, 2}, {.eval_threshold = 1.5}).ok());
  EXPECT_THAT(Forward(network, {1.5f, 0.4f}, {1, 1, 2}).output, ElementsAre(1, 0));
}

TEST(SetThresholdMargin, ThresholdsOfAnotherShapeAreRefusedByForward) {
  Network network = MakeNetwork({{.name = "out", .kind = IfNode()}});
  network.SetTraining(true);
  ASSERT_TRUE(network.SetThresholdMargin("out", {0, 1, 0, 1}, {2, 2}, {}).ok());
  const std::string message = Refusal(network, RandomNumbers(6, 1), {1, 3, 2}, "input");
  EXPECT_THAT(message, HasSubstr("[3, 2] at layer \"out\""));
  EXPECT_THAT(message, HasSubstr("[2, 2]"));
  Forward(network, RandomNumbers(4, 1), {1, 2, 2});
}

TEST(SetThresholdMargin, BadOperandsAreRefusedAndChangeNothing) {
  Network network = MakeNetwork(AllKinds());
  network.SetTraining(true);
  const auto field = [&](std::string_view layer, std::vector<double> labels, const Shape& shape,
                         const ThresholdMarginOptions& options) {
    return FieldOf(network.SetThresholdMargin(layer, labels, shape, options).status());
  };
  EXPECT_EQ(field("nobody", {1}, {1}, {}), "layer");
  EXPECT_EQ(field("synapse", {1}, {1}, {}), "layer");
  EXPECT_EQ(field("out", {1, 0}, {1, 3}, {}), "label_one_hot");
  EXPECT_EQ(field("out", {}, {-1}, {}), "label_one_hot");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(field("out", {1}, {1}, {.eval_threshold = nan}), "eval_threshold");
  EXPECT_EQ(field("out", {1}, {1}, {.threshold0 = nan}), "threshold0");
  EXPECT_EQ(field("out", {1}, {1}, {.threshold1 = nan}), "threshold1");
  EXPECT_EQ(std::get<float>(std::get<LifNode>(network.Spec()[7].kind).v_threshold), 0.6f);
}

// --- Spec and sizes.

TEST(NetworkSpec, MakesACopyInItsInitialState) {
  Network network = MakeNetwork(AllKinds());
  network.SetTraining(true);
  ASSERT_TRUE(network.SetThresholdMargin("if", std::vector<double>(20, 1.0), {4, 5}, {.threshold1 = 0.7}).ok());
  Forward(network, RandomNumbers(24, 1), {1, 4, 6});
  const std::vector<LayerSpec> specs = network.Spec();
  EXPECT_EQ(*std::get<PlifNode>(specs[5].kind).p, 0.5f);
  EXPECT_NEAR(*std::get<RifNode>(specs[1].kind).g, std::log(0.8 / 0.2), 1e-6);
  EXPECT_EQ(std::get<LinearLayer>(specs[0].kind).weight, std::get<LinearLayer>(AllKinds()[0].kind).weight);
  EXPECT_EQ(std::get<LinearLayer>(specs[0].kind).bias, std::get<LinearLayer>(AllKinds()[0].kind).bias);
  EXPECT_EQ(std::get<Dropout>(specs[2].kind).seed, 7);

  Network copy = MakeNetwork(specs);
  EXPECT_FALSE(copy.training());
  network.SetTraining(false);
  network.Reset();
  const std::vector<float> input = RandomNumbers(9 * 24, 2);
  const std::vector<RecordRequest> records = {{.layer = "out", .v_after_reset = true}};
  const ForwardResult one = Forward(network, input, {9, 4, 6}, records);
  const ForwardResult other = Forward(copy, input, {9, 4, 6}, records);
  EXPECT_TRUE(one.output == other.output);
  EXPECT_TRUE(one.records[0].v_after_reset == other.records[0].v_after_reset);
  EXPECT_EQ(copy.Monitors().size(), 2);
}

TEST(NetworkByteSize, GrowsByNoMoreThanForwardByteSizeSays) {
  for (const bool training : {false, true}) {
    Network network = MakeNetwork(AllKinds());
    network.SetTraining(training);
    const std::vector<RecordRequest> records = {
        {.layer = "out", .spikes = true, .v_before_reset = true, .v_after_reset = true}};
    for (const int64_t steps : {1, 50, 0, 3}) {
      const auto allowed = network.ForwardByteSize({steps, 20, 6}, records);
      ASSERT_TRUE(allowed.ok()) << allowed.status();
      const int64_t before = network.ByteSize();
      const ForwardResult result = Forward(network, RandomNumbers(steps * 120, 1), {steps, 20, 6}, records);
      const int64_t elements = steps * 20 * 5;
      EXPECT_LE(network.ByteSize() - before + elements * (4 + 1 + 4 + 4), *allowed);
      // And not by much: what else there is are buffers, for which all these steps are one block: two of at most 9
      // features, and those of the voltages of both monitors and both records.
      const int64_t buffers = steps * 20 * 4 * (2 * 9 + (9 + 5) + 2 * 5);
      EXPECT_GE(network.ByteSize() - before + elements * 13 + buffers + 20 * 4 * 60 + 1000, *allowed);
    }
  }
}

TEST(NetworkByteSize, ForwardByteSizeDoesNotOverflow) {
  std::vector<LayerSpec> specs;
  for (int i = 0; i < 3; ++i) specs.push_back({.name = "", .kind = Monitored<IfNode>()});
  const Network network = MakeNetwork(specs);
  const std::vector<RecordRequest> records(5, {.layer = "1", .v_before_reset = true});
  const auto bytes = network.ForwardByteSize({1 << 20, 1 << 20, 1 << 20}, records);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, std::numeric_limits<int64_t>::max());
  for (const Shape& shape : {Shape{1 << 21, 1 << 20, 1 << 20}, Shape{0, int64_t{1} << 62, 4},
                             Shape{1, std::numeric_limits<int64_t>::max()}, Shape{1, -1, -1}}) {
    EXPECT_EQ(FieldOf(network.ForwardByteSize(shape, {}).status()), "input") << ShapeString(shape);
  }
}

TEST(Network, MovesWithItsState) {
  Network network = MakeNetwork({{.name = "", .kind = IfNode()}});
  Forward(network, {0.75f}, {1, 1});
  Network moved = std::move(network);
  EXPECT_THAT(Forward(moved, {0.25f}, {1, 1}).output, ElementsAre(1));
}

}  // namespace
}  // namespace spikeserve

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "lib/simd_targets.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"
#include "support/golden.h"
#include "support/golden_neuron.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::Pointwise;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <typename Kind>
Network NetworkOf(Kind kind) {
  return MakeNetwork({{.name = "neuron", .kind = std::move(kind)}});
}

// Runs a network of one neuron and returns the layer's record.
LayerRecord RunNeuron(Network& network, absl::Span<const float> dv, const Shape& shape) {
  const RecordRequest all{.layer = "neuron", .spikes = true, .v_before_reset = true, .v_after_reset = true};
  auto result = network.Forward(dv, shape, {.records = {&all, 1}});
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->output_is_spikes);
  EXPECT_EQ(result->shape, shape);
  EXPECT_EQ(result->output, std::vector<float>(result->records[0].spikes.begin(), result->records[0].spikes.end()));
  return std::move(result->records[0]);
}

template <typename Kind>
std::string FieldRefused(Kind kind) {
  std::vector<LayerSpec> specs;
  specs.push_back({.name = "", .kind = std::move(kind)});
  const auto network = Network::Create(std::move(specs));
  EXPECT_EQ(network.status().code(), absl::StatusCode::kInvalidArgument);
  return FieldOf(network.status());
}

// --- The reference's results.

TEST(Neuron, SpikesAndVoltagesAreTheReferences) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("neuron")) {
    SCOPED_TRACE(golden.name);
    LayerSpec spec = testing::GoldenNeuron(golden.params);
    spec.name = "neuron";
    Network network = MakeNetwork({spec});
    const Tensor& dv = golden.inputs.at("dv");
    const LayerRecord record = RunNeuron(network, dv.values<float>(), dv.shape());
    const auto spikes = golden.outputs.at("spikes").values<float>();
    EXPECT_THAT(record.spikes, ElementsAreArray(spikes.begin(), spikes.end()));
    const auto v = golden.outputs.at("v_after_step").values<float>();
    // An exponential stands between the bounded w of a RIF and its parameter: there the last bit is the C library's.
    if (golden.params.contains("amplitude")) {
      EXPECT_THAT(record.v_after_reset, Pointwise(::testing::FloatNear(1e-6f), v));
    } else {
      EXPECT_THAT(record.v_after_reset, Pointwise(::testing::Eq(), v));
    }
  }
}

// --- The definitions, restated for a single neuron.

struct Restated {
  std::vector<uint8_t> spikes;
  std::vector<float> before;
  std::vector<float> after;
};

template <typename Charge>
Restated Restate(absl::Span<const float> dv, int64_t steps, absl::Span<const float> thresholds,
                 std::optional<float> v_reset, Charge charge) {
  Restated all{std::vector<uint8_t>(dv.size()), std::vector<float>(dv.size()), std::vector<float>(dv.size())};
  const int64_t neurons = static_cast<int64_t>(thresholds.size());
  for (int64_t n = 0; n < neurons; ++n) {
    float v = v_reset.value_or(0);
    for (int64_t t = 0; t < steps; ++t) {
      const int64_t i = t * neurons + n;
      v = charge(v, dv[i]);
      all.before[i] = v;
      all.spikes[i] = v - thresholds[n] >= 0;
      if (all.spikes[i]) v = v_reset ? *v_reset : v - thresholds[n];
      all.after[i] = v;
    }
  }
  return all;
}

// Compares a neuron with its restatement for both resets, for scalar thresholds and single ones, on shapes that are and
// are not multiples of a vector's width. `charge` takes v, dv and what stands for v_reset.
template <typename Node, typename Charge>
void ExpectRestated(const Node& given, Charge charge) {
  for (const std::optional<float> v_reset : {std::optional(0.0f), std::optional(-0.25f), std::optional<float>()}) {
    for (const Shape& step : {Shape{1}, Shape{7}, Shape{3, 5}, Shape{2, 3, 4, 1}, Shape{16, 1031}}) {
      for (const bool tensor : {false, true}) {
        SCOPED_TRACE(ShapeString(step) + (tensor ? " tensor" : " scalar") + (v_reset ? " hard" : " soft"));
        constexpr int64_t kSteps = 9;
        const int64_t size = *ElementCount(step);
        Shape shape = step;
        shape.insert(shape.begin(), kSteps);
        const std::vector<float> dv = RandomNumbers(kSteps * size, static_cast<uint32_t>(size));
        std::vector<float> thresholds(size, 0.8f);
        Node node = given;
        node.v_reset = v_reset;
        node.v_threshold = 0.8f;
        if (tensor) {
          for (int64_t n = 0; n < size; ++n) thresholds[n] = 0.5f + 0.125f * static_cast<float>(n % 5);
          node.v_threshold = ThresholdTensor{step, thresholds};
        }
        const float v_reset_used = v_reset.value_or(0);
        const Restated wanted =
            Restate(dv, kSteps, thresholds, v_reset, [&](float v, float x) { return charge(v, x, v_reset_used); });
        testing::ForEachTarget([&] {
          Network network = NetworkOf(node);
          const LayerRecord record = RunNeuron(network, dv, shape);
          EXPECT_EQ(record.shape, shape);
          EXPECT_TRUE(record.spikes == wanted.spikes);
          EXPECT_TRUE(record.v_before_reset == wanted.before);
          EXPECT_TRUE(record.v_after_reset == wanted.after);
        });
        EXPECT_TRUE(std::count(wanted.spikes.begin(), wanted.spikes.end(), 1) > 0 || size < 7);
      }
    }
  }
}

TEST(IfNode, IsItsDefinition) {
  ExpectRestated(IfNode(), [](float v, float dv, float) { return v + dv; });
}

TEST(LifNode, IsItsDefinition) {
  LifNode node;
  node.tau = 1.7;
  ExpectRestated(node, [](float v, float dv, float v_reset) { return v + (dv - (v - v_reset)) / 1.7f; });
}

TEST(PlifNode, IsItsDefinition) {
  PlifNode node;
  node.init_tau = 1.3;
  const float p = static_cast<float>(1 / 1.3);
  ExpectRestated(node, [p](float v, float dv, float v_reset) { return v + (dv - (v - v_reset)) * p; });
  node.p = 0.9f;
  ExpectRestated(node, [](float v, float dv, float v_reset) { return v + (dv - (v - v_reset)) * 0.9f; });
}

TEST(RifNode, ByDefaultIsTheReferencesRuleWhichForgetsV) {
  RifNode node;
  node.init_w = 0.35;
  ExpectRestated(node, [](float v, float dv, float v_reset) { return (v - v_reset) * 0.35f + dv; });
}

TEST(RifNode, ByTheDefinitionKeepsV) {
  RifNode node;
  node.rule = RifNode::Rule::kDefinition;
  node.init_w = -0.2;
  ExpectRestated(node, [](float v, float dv, float v_reset) { return v + (v - v_reset) * -0.2f + dv; });
}

// The w of a RIF: what is left of a voltage of 1 after a step without a current.
float WeightOf(const RifNode& given) {
  RifNode node = given;
  node.v_threshold = kInf;
  Network network = NetworkOf(node);
  return RunNeuron(network, {1.0f, 0.0f}, {2, 1}).v_before_reset[1];
}

TEST(RifNode, GStartsWhereTheBoundedWIsInitW) {
  for (const auto& [init_w, bounds] : {std::pair{-1e-3, std::pair{-1.0, 1.0}}, std::pair{0.3, std::pair{-0.5, 0.5}},
                                       std::pair{0.3, std::pair{0.1, 2.0}}, std::pair{-0.9, std::pair{-1.0, 0.5}}}) {
    RifNode node;
    node.init_w = init_w;
    node.bounds = bounds;
    EXPECT_NEAR(WeightOf(node), init_w, 2e-7);
  }
}

TEST(RifNode, APresentGIsUsedInPlaceOfInitW) {
  RifNode node;
  node.init_w = 0.1;
  node.g = 0.75f;
  EXPECT_EQ(WeightOf(node), 0.75f);
  node.bounds = {-0.5, 0.5};
  node.g = 0.0f;
  EXPECT_EQ(WeightOf(node), 0.0f);
  node.bounds = {0.0, 0.5};
  EXPECT_EQ(WeightOf(node), 0.25f);
}

// --- The corners.

TEST(Neuron, FiresAtExactlyTheThreshold) {
  Network network = NetworkOf(IfNode());
  EXPECT_THAT(RunNeuron(network, {0.5f, 0.5f, std::nextafter(1.0f, 0.0f)}, {3, 1}).spikes, ElementsAre(0, 1, 0));
}

TEST(Neuron, AnInfiniteThresholdIsNeverReached) {
  IfNode node;
  node.v_threshold = kInf;
  Network network = NetworkOf(node);
  EXPECT_THAT(RunNeuron(network, {1e30f, kInf}, {2, 1}).spikes, ElementsAre(0, 0));
}

TEST(Neuron, StartsAtVReset) {
  IfNode node;
  node.v_reset = -3.0f;
  Network network = NetworkOf(node);
  EXPECT_THAT(RunNeuron(network, {0.25f}, {1, 1}).v_after_reset, ElementsAre(-2.75f));
}

TEST(Neuron, ASoftResetKeepsTheExcess) {
  IfNode node;
  node.v_reset = std::nullopt;
  Network network = NetworkOf(node);
  const LayerRecord record = RunNeuron(network, {2.5f, 0.0f, 0.0f}, {3, 1});
  EXPECT_THAT(record.spikes, ElementsAre(1, 1, 0));
  EXPECT_THAT(record.v_before_reset, ElementsAre(2.5f, 1.5f, 0.5f));
  EXPECT_THAT(record.v_after_reset, ElementsAre(1.5f, 0.5f, 0.5f));
}

TEST(Neuron, ParametersOutOfRangeAreRefusedByName) {
  for (const double tau : {0.0, 1e-60, 1e60, static_cast<double>(kInf), static_cast<double>(kNan)}) {
    LifNode lif;
    lif.tau = tau;
    EXPECT_EQ(FieldRefused(lif), "layers[0].lif_node.tau");
    PlifNode plif;
    plif.init_tau = tau;
    EXPECT_EQ(FieldRefused(plif), "layers[0].plif_node.init_tau");
    LowPassSynapse synapse{.tau = tau};
    EXPECT_EQ(FieldRefused(synapse), "layers[0].low_pass_synapse.tau");
  }
  PlifNode plif;
  plif.p = kNan;
  EXPECT_EQ(FieldRefused(plif), "layers[0].plif_node.p");

  IfNode node;
  node.v_threshold = kNan;
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.v_threshold");
  node.v_threshold = ThresholdTensor{{2}, {1.0f, kNan}};
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.v_threshold_tensor");
  node.v_threshold = ThresholdTensor{{2, 2}, {1.0f, 1.0f}};
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.v_threshold_tensor");
  node.v_threshold = ThresholdTensor{{-1, -2}, {1.0f, 1.0f}};
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.v_threshold_tensor");
  node = IfNode();
  node.v_reset = kInf;
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.v_reset");
  node = IfNode();
  node.surrogate = SigmoidSurrogate{.alpha = kNan};
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.surrogate.sigmoid.alpha");
  node.surrogate = SignSwishSurrogate{.beta = kInf};
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.surrogate.sign_swish.beta");
  node.surrogate = BilinearLeakyReluSurrogate{.c = kNan};
  EXPECT_EQ(FieldRefused(node), "layers[0].if_node.surrogate.bilinear_leaky_relu.c");
}

TEST(RifNode, ParametersOutOfRangeAreRefusedByName) {
  RifNode node;
  node.v_threshold = kNan;
  EXPECT_EQ(FieldRefused(node), "layers[0].rif_node.v_threshold");
  node = RifNode();
  node.init_w = kNan;
  EXPECT_EQ(FieldRefused(node), "layers[0].rif_node.init_w");
  for (const double outside : {-0.5, 0.5, 0.7}) {
    node.init_w = outside;
    node.bounds = {-0.5, 0.5};
    EXPECT_EQ(FieldRefused(node), "layers[0].rif_node.init_w");
  }
  node.init_w = 0;
  for (const auto& bounds : {std::pair{0.5, 0.5}, std::pair{1.0, -1.0}, std::pair<double, double>{-kInf, 1.0},
                             std::pair<double, double>{-1.0, kNan}, std::pair{-1e300, 1e300}}) {
    node.bounds = bounds;
    EXPECT_EQ(FieldRefused(node), "layers[0].rif_node.amplitude_range");
  }
  node.bounds = std::nullopt;
  node.g = kInf;
  EXPECT_EQ(FieldRefused(node), "layers[0].rif_node.g");
}

}  // namespace
}  // namespace spikeserve

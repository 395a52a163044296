// What the tests of networks and layers share.

#ifndef SPIKESERVE_TESTS_LIB_NETWORK_TESTING_H_
#define SPIKESERVE_TESTS_LIB_NETWORK_TESTING_H_

#include <bit>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {

inline Network MakeNetwork(std::vector<LayerSpec> specs) {
  auto network = Network::Create(std::move(specs));
  EXPECT_TRUE(network.ok()) << network.status();
  return *std::move(network);
}

inline ForwardResult Forward(Network& network, absl::Span<const float> input, const Shape& shape,
                             absl::Span<const RecordRequest> records = {}, Executor& executor = InlineExecutor()) {
  auto result = network.Forward(input, shape, {.records = records}, executor);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

// The message of a refused Forward, after a check of the field it blames.
inline std::string Refusal(Network& network, absl::Span<const float> input, const Shape& shape, std::string_view field,
                           absl::Span<const RecordRequest> records = {}) {
  const auto result = network.Forward(input, shape, {.records = records});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(result.status()), field);
  return std::string(result.status().message());
}

// Of [-0.5, 1.65].
inline std::vector<float> RandomNumbers(int64_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> numbers(size);
  for (float& x : numbers) x = static_cast<float>(random()) / 4.0e9f * 2.0f - 0.5f;
  return numbers;
}

inline LinearLayer RandomLinear(int64_t in, int64_t out, uint32_t seed) {
  const std::vector<float> weight = RandomNumbers(in * out, seed);
  return {.weight = Eigen::Map<const RowMatrix<float>>(weight.data(), out, in), .bias = RandomNumbers(out, seed + 1)};
}

// --- Networks that learn.

// Weights and biases with which about half of the neurons fire, where the input is RandomNumbers.
inline LinearLayer TamedLinear(int64_t in, int64_t out, uint32_t seed) {
  LinearLayer linear = RandomLinear(in, out, seed);
  linear.weight *= 2.0f / static_cast<float>(in);
  for (float& b : linear.bias) b *= 0.25f;
  return linear;
}

// Of every kind of layer that learns or has a state. Takes steps of [batch, 6]; "hidden" has 20 neurons, "rif" 12,
// "out" 8, all with `surrogate`.
inline std::vector<LayerSpec> LearningLayers(const Surrogate& surrogate = SigmoidSurrogate{2}) {
  LifNode hidden;
  hidden.tau = 2;
  hidden.v_reset.reset();  // Soft.
  hidden.monitor = true;
  RifNode rif;
  rif.init_w = 0.25;
  rif.bounds = {-0.5, 0.75};
  PlifNode out;
  out.v_threshold = 0.75f;
  for (NeuronSpec* neuron :
       {static_cast<NeuronSpec*>(&hidden), static_cast<NeuronSpec*>(&rif), static_cast<NeuronSpec*>(&out)}) {
    neuron->surrogate = surrogate;
  }
  return {{.name = "synapse", .kind = LowPassSynapse{.tau = 3, .learnable = true}},
          {.name = "drop", .kind = Dropout{.p = 0.25, .seed = 5}},
          {.name = "first", .kind = TamedLinear(6, 20, 11)},
          {.name = "hidden", .kind = hidden},
          {.name = "second", .kind = TamedLinear(20, 12, 12)},
          {.name = "rif", .kind = rif},
          {.name = "third", .kind = TamedLinear(12, 8, 13)},
          {.name = "out", .kind = out}};
}

// The values of one of a network's gradients, or of its optimiser's moments.
inline std::vector<float> ValuesOf(const std::vector<ParameterTensor>& tensors, std::string_view layer,
                                   std::string_view parameter) {
  for (const ParameterTensor& tensor : tensors) {
    if (tensor.layer == layer && tensor.parameter == parameter) return tensor.values;
  }
  ADD_FAILURE() << "nothing of " << layer << "." << parameter;
  return {};
}

// The present values of each parameter, in the order of Gradients().
inline std::vector<ParameterTensor> ParametersOf(const Network& network) {
  std::vector<ParameterTensor> parameters = network.Gradients();
  std::map<std::pair<std::string, std::string>, std::vector<float>> values;
  for (const LayerSpec& spec : network.Spec()) {
    if (const auto* linear = std::get_if<LinearLayer>(&spec.kind)) {
      values[{spec.name, "weight"}] = {linear->weight.data(), linear->weight.data() + linear->weight.size()};
      values[{spec.name, "bias"}] = linear->bias;
    }
    if (const auto* synapse = std::get_if<LowPassSynapse>(&spec.kind); synapse && synapse->p) {
      values[{spec.name, "p"}] = {*synapse->p};
    }
    if (const auto* conv = std::get_if<Conv2d>(&spec.kind)) {
      values[{spec.name, "weight"}] = conv->weight;
      values[{spec.name, "bias"}] = conv->bias;
    }
    if (const auto* norm = std::get_if<BatchNorm2d>(&spec.kind)) {
      values[{spec.name, "weight"}] = norm->weight;
      values[{spec.name, "bias"}] = norm->bias;
    }
    if (const auto* plif = std::get_if<PlifNode>(&spec.kind)) values[{spec.name, "p"}] = {*plif->p};
    if (const auto* rif = std::get_if<RifNode>(&spec.kind)) values[{spec.name, "g"}] = {*rif->g};
  }
  for (ParameterTensor& parameter : parameters) parameter.values = values.at({parameter.layer, parameter.parameter});
  return parameters;
}

// All that can be seen of a network, by name and as bits: networks of equal layers and snapshots do the same ever
// after.
using Snapshot = std::map<std::string, std::vector<uint32_t>>;

class SnapshotWriter {
 public:
  void Add(const std::string& name, absl::Span<const float> values) {
    for (const float value : values) snapshot_[name].push_back(std::bit_cast<uint32_t>(value));
  }
  void Add(const std::string& name, uint64_t number) {
    snapshot_[name].insert(snapshot_[name].end(), {static_cast<uint32_t>(number >> 32), static_cast<uint32_t>(number)});
  }
  void Add(const std::string& name, const Shape& shape) {
    for (const int64_t length : shape) Add(name, static_cast<uint64_t>(length));
  }
  void Add(const std::string& name, const std::vector<ParameterTensor>& tensors) {
    for (const ParameterTensor& tensor : tensors) {
      Add(absl::StrCat(name, ": ", tensor.layer, ".", tensor.parameter, " shape"), tensor.shape);
      Add(absl::StrCat(name, ": ", tensor.layer, ".", tensor.parameter), tensor.values);
    }
  }
  Snapshot Take() { return std::move(snapshot_); }

 private:
  Snapshot snapshot_;
};

inline Snapshot SnapshotOf(const Network& network) {
  SnapshotWriter out;
  out.Add("training", uint64_t{network.training()});
  out.Add("trace_steps", static_cast<uint64_t>(network.trace_steps()));
  out.Add("parameters", ParametersOf(network));
  out.Add("gradients", network.Gradients());
  for (const LayerSpec& spec : network.Spec()) {
    std::visit(
        [&](const auto& kind) {
          if constexpr (std::is_same_v<BatchNorm2d, std::decay_t<decltype(kind)>>) {
            out.Add(spec.name + ".running_mean", kind.running_mean);
            out.Add(spec.name + ".running_var", kind.running_var);
          }
          if constexpr (std::is_base_of_v<NeuronSpec, std::decay_t<decltype(kind)>>) {
            const auto* tensor = std::get_if<ThresholdTensor>(&kind.v_threshold);
            if (tensor != nullptr) out.Add(spec.name + ".v_threshold shape", tensor->shape);
            out.Add(spec.name + ".v_threshold",
                    tensor != nullptr ? tensor->values : std::vector<float>{std::get<float>(kind.v_threshold)});
          }
        },
        spec.kind);
  }
  const NetworkState state = network.State();
  out.Add("sample_shape", state.sample_shape);
  for (const LayerState& layer : state.layers) {
    out.Add(layer.layer + ".v", layer.v);
    out.Add(layer.layer + ".current", layer.current);
    out.Add(layer.layer + ".mask", layer.mask);
    out.Add(layer.layer + ".masks_drawn", layer.masks_drawn);
  }
  for (const LayerRecord& monitor : network.Monitors()) {
    out.Add(monitor.layer + " monitor shape", monitor.shape);
    out.Add(monitor.layer + " monitor spikes", std::vector<float>(monitor.spikes.begin(), monitor.spikes.end()));
    out.Add(monitor.layer + " monitor v_before_reset", monitor.v_before_reset);
  }
  const OptimizerState optimizer = network.GetOptimizerState();
  out.Add("optimizer steps", static_cast<uint64_t>(optimizer.steps));
  if (optimizer.optimizer.has_value()) {
    const auto add = [&](double value) { out.Add("optimizer", std::bit_cast<uint64_t>(value)); };
    if (const auto* sgd = std::get_if<Sgd>(&*optimizer.optimizer)) {
      for (const double x : {sgd->learning_rate, sgd->momentum, sgd->weight_decay}) add(x);
    } else {
      const Adam& adam = std::get<Adam>(*optimizer.optimizer);
      for (const double x : {adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon, adam.weight_decay}) add(x);
    }
  }
  out.Add("first_moments", optimizer.first_moments);
  out.Add("second_moments", optimizer.second_moments);
  return out.Take();
}

}  // namespace spikeserve

#endif  // SPIKESERVE_TESTS_LIB_NETWORK_TESTING_H_

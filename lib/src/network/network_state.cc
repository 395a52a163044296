// What a network is beside its layers: taken out, and put into another one.

#include "spikeserve/compute/network_state.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "network/forward_plan.h"
#include "network/learning.h"
#include "network/network_layer.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

constexpr int64_t kMaxOptimizerSteps = int64_t{1} << 53;

bool HasVectors(const LayerState& state) { return !state.v.empty() || !state.current.empty() || !state.mask.empty(); }

}  // namespace

NetworkState Network::State() const {
  NetworkState state{.sample_shape = sample_shape_, .layers = {}};
  for (const auto& layer : layers_) {
    LayerState of_layer = layer->State();
    if (!HasVectors(of_layer) && of_layer.masks_drawn == 0) continue;
    of_layer.layer = layer->name();
    state.layers.push_back(std::move(of_layer));
  }
  return state;
}

int64_t Network::StateByteSize() const {
  int64_t bytes = 0;
  for (const auto& layer : layers_) bytes = AddBytes(bytes, layer->StateByteSize());
  return bytes;
}

absl::Status Network::SetState(const NetworkState& state) {
  const bool settled = !state.sample_shape.empty();
  std::vector<Shape> inputs(layers_.size());
  if (settled) {
    const auto plan = PlanForward(layers_, /*training=*/false, {}, WithSteps(1, state.sample_shape), {});
    if (!plan.ok()) {
      return InvalidField("state.sample_shape", ShapeString(state.sample_shape),
                          absl::StrCat("a shape that the layers take (", plan.status().message(), ")"));
    }
    for (size_t i = 0; i < layers_.size(); ++i) inputs[i] = plan->input_shape(i);
  }
  const LayerIndex index = IndexOf(layers_);
  std::vector<std::unique_ptr<LayerMemory>> before;
  for (const auto& layer : layers_) before.push_back(layer->Take());

  const auto set = [&]() -> absl::Status {
    std::vector<const LayerState*> states(layers_.size());
    std::vector<std::string> fields(layers_.size());
    for (size_t k = 0; k < state.layers.size(); ++k) {
      const LayerState& of_layer = state.layers[k];
      const std::string field = absl::StrCat("state.layers[", k, "]");
      const auto found = index.find(of_layer.layer);
      if (found == index.end() || states[found->second] != nullptr) {
        return InvalidField(field + ".layer", Quoted(of_layer.layer), "the name of a layer of the network, each once");
      }
      if (!settled && HasVectors(of_layer)) {
        return InvalidField(field, "elements without a sample_shape", "a sample_shape");
      }
      states[found->second] = &of_layer;
      fields[found->second] = field;
    }
    const LayerState none;
    for (size_t i = 0; i < layers_.size(); ++i) {
      absl::Status status = layers_[i]->SetState(fields[i], inputs[i], states[i] == nullptr ? none : *states[i]);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  };
  if (absl::Status status = set(); !status.ok()) {
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (before[i] != nullptr) layers_[i]->Put(std::move(before[i]));
    }
    return status;
  }
  sample_shape_ = state.sample_shape;
  learning_->trace = {};
  return absl::OkStatus();
}

OptimizerState Network::GetOptimizerState() const {
  const OptimizerMemory& memory = learning_->optimizer;
  OptimizerState state{.optimizer = memory.optimizer, .steps = memory.steps, .first_moments = {}, .second_moments = {}};
  if (!memory.first.empty()) state.first_moments = Export(layers_, memory.first);
  if (!memory.second.empty()) state.second_moments = Export(layers_, memory.second);
  return state;
}

int64_t Network::OptimizerByteSize() const {
  const OptimizerMemory& memory = learning_->optimizer;
  return spikeserve::ByteSize(memory.first) + spikeserve::ByteSize(memory.second);
}

absl::Status Network::SetOptimizerState(const OptimizerState& state) {
  OptimizerMemory memory;
  if (!state.optimizer.has_value() &&
      (state.steps != 0 || !state.first_moments.empty() || !state.second_moments.empty())) {
    return InvalidField("optimizer_state.optimizer", "absent beside steps or moments", "the optimiser that made them");
  }
  if (state.optimizer.has_value()) {
    if (absl::Status status = CheckOptimizer(*state.optimizer); !status.ok()) {
      return WithinField("optimizer_state", status);
    }
    // Adam's corrections take the number as a double.
    if (state.steps < 0 || state.steps > kMaxOptimizerSteps) {
      return InvalidField("optimizer_state.steps", absl::StrCat(state.steps),
                          absl::StrCat("a number in [0, ", kMaxOptimizerSteps, "]"));
    }
    memory.optimizer = state.optimizer;
    memory.steps = state.steps;
    auto first = Import("optimizer_state.first_moments", layers_, state.first_moments);
    if (!first.ok()) return first.status();
    memory.first = *std::move(first);
    if (std::holds_alternative<Adam>(*state.optimizer)) {
      auto second = Import("optimizer_state.second_moments", layers_, state.second_moments);
      if (!second.ok()) return second.status();
      memory.second = *std::move(second);
      for (const auto& of_layer : memory.second) {
        for (const auto& values : of_layer) {
          const auto negative = std::find_if(values.begin(), values.end(), [](float v) { return v < 0; });
          if (negative != values.end()) {
            return InvalidField("optimizer_state.second_moments", absl::StrCat(*negative), "means of squares, >= 0");
          }
        }
      }
    } else if (!state.second_moments.empty()) {
      return InvalidField("optimizer_state.second_moments", absl::StrCat(state.second_moments.size(), " tensors"),
                          "none beside SGD, which has no such");
    }
  }
  learning_->optimizer = std::move(memory);
  return absl::OkStatus();
}

}  // namespace spikeserve

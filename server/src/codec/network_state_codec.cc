#include "codec/network_state_codec.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "codec/overloaded.h"
#include "codec/tensor_codec.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

std::string Path(std::string_view field, std::string_view member) {
  return std::string(field) + "." + std::string(member);
}

// The elements of a tensor that may be absent: then there are none.
absl::StatusOr<std::vector<float>> DecodeElements(bool has, const v1::Tensor& tensor, std::string_view field,
                                                  Room room) {
  if (!has) return std::vector<float>();
  SPIKESERVE_ASSIGN_OR_RETURN(auto array, Decode<float>(tensor, field, Accept::kNumber, room));
  return std::vector<float>(array.values().begin(), array.values().end());
}

}  // namespace

absl::Status CheckNetworkFormatVersion(uint32_t version) {
  if (version == kNetworkFormatVersion) return absl::OkStatus();
  return InvalidField("format_version", absl::StrCat(version),
                      absl::StrCat(kNetworkFormatVersion, ", the version that is known here"));
}

absl::StatusOr<Optimizer> DecodeOptimizer(const v1::Optimizer& optimizer, std::string_view field) {
  switch (optimizer.kind_case()) {
    case v1::Optimizer::kSgd: {
      const v1::Sgd& in = optimizer.sgd();
      Sgd out;
      if (in.has_learning_rate()) out.learning_rate = in.learning_rate();
      if (in.has_momentum()) out.momentum = in.momentum();
      if (in.has_weight_decay()) out.weight_decay = in.weight_decay();
      return out;
    }
    case v1::Optimizer::kAdam: {
      const v1::Adam& in = optimizer.adam();
      Adam out;
      if (in.has_learning_rate()) out.learning_rate = in.learning_rate();
      if (in.has_beta1()) out.beta1 = in.beta1();
      if (in.has_beta2()) out.beta2 = in.beta2();
      if (in.has_epsilon()) out.epsilon = in.epsilon();
      if (in.has_weight_decay()) out.weight_decay = in.weight_decay();
      return out;
    }
    case v1::Optimizer::KIND_NOT_SET:
      break;
  }
  return InvalidField(Path(field, "kind"), "absent", "one of sgd, adam");
}

void EncodeOptimizer(const Optimizer& optimizer, v1::Optimizer* out) {
  std::visit(Overloaded{
                 [&](const Sgd& in) {
                   v1::Sgd* sgd = out->mutable_sgd();
                   sgd->set_learning_rate(in.learning_rate);
                   sgd->set_momentum(in.momentum);
                   sgd->set_weight_decay(in.weight_decay);
                 },
                 [&](const Adam& in) {
                   v1::Adam* adam = out->mutable_adam();
                   adam->set_learning_rate(in.learning_rate);
                   adam->set_beta1(in.beta1);
                   adam->set_beta2(in.beta2);
                   adam->set_epsilon(in.epsilon);
                   adam->set_weight_decay(in.weight_decay);
                 },
             },
             optimizer);
}

absl::StatusOr<std::vector<ParameterTensor>> DecodeParameters(const WireParameters& parameters, std::string_view field,
                                                              Room room) {
  std::vector<ParameterTensor> out;
  for (int i = 0; i < parameters.size(); ++i) {
    const v1::ParameterTensor& in = parameters[i];
    SPIKESERVE_ASSIGN_OR_RETURN(
        auto values,
        Decode<float>(in.values(), absl::StrCat(std::string(field), "[", i, "].values"), Accept::kNumber, room));
    out.push_back({.layer = in.layer(),
                   .parameter = in.parameter(),
                   .shape = values.shape(),
                   .values = {values.values().begin(), values.values().end()}});
  }
  return out;
}

void EncodeParameters(absl::Span<const ParameterTensor> parameters, WireParameters* out) {
  for (const ParameterTensor& in : parameters) {
    v1::ParameterTensor* parameter = out->Add();
    parameter->set_layer(in.layer);
    parameter->set_parameter(in.parameter);
    EncodeTensor(TensorView(absl::MakeConstSpan(in.values), in.shape), parameter->mutable_values());
  }
}

absl::StatusOr<NetworkState> DecodeState(const v1::NetworkState& state, std::string_view field, Room room) {
  NetworkState out;
  SPIKESERVE_ASSIGN_OR_RETURN(out.sample_shape,
                              DecodeShape(state.sample_shape(), absl::StrCat(std::string(field), ".sample_shape")));
  for (int i = 0; i < state.layers_size(); ++i) {
    const v1::LayerState& in = state.layers(i);
    const std::string path = absl::StrCat(std::string(field), ".layers[", i, "]");
    LayerState layer{.layer = in.layer(), .v = {}, .current = {}, .mask = {}, .masks_drawn = in.masks_drawn()};
    SPIKESERVE_ASSIGN_OR_RETURN(layer.v, DecodeElements(in.has_v(), in.v(), path + ".v", room));
    SPIKESERVE_ASSIGN_OR_RETURN(layer.current, DecodeElements(in.has_current(), in.current(), path + ".current", room));
    SPIKESERVE_ASSIGN_OR_RETURN(layer.mask, DecodeElements(in.has_mask(), in.mask(), path + ".mask", room));
    out.layers.push_back(std::move(layer));
  }
  return out;
}

void EncodeState(const NetworkState& state, v1::NetworkState* out) {
  for (const int64_t length : state.sample_shape) out->add_sample_shape(length);
  for (const LayerState& in : state.layers) {
    v1::LayerState* layer = out->add_layers();
    layer->set_layer(in.layer);
    const auto encode = [](const std::vector<float>& values, v1::Tensor* tensor) {
      EncodeTensor(TensorView(absl::MakeConstSpan(values), {static_cast<int64_t>(values.size())}), tensor);
    };
    if (!in.v.empty()) encode(in.v, layer->mutable_v());
    if (!in.current.empty()) encode(in.current, layer->mutable_current());
    if (!in.mask.empty()) encode(in.mask, layer->mutable_mask());
    layer->set_masks_drawn(in.masks_drawn);
  }
}

absl::StatusOr<OptimizerState> DecodeOptimizerState(const v1::OptimizerState& state, std::string_view field,
                                                    Room room) {
  OptimizerState out;
  if (!state.has_optimizer()) {
    if (state.steps() != 0 || state.first_moments_size() != 0 || state.second_moments_size() != 0) {
      return InvalidField(Path(field, "optimizer"), "absent beside steps or moments", "the optimiser that made them");
    }
    return out;
  }
  SPIKESERVE_ASSIGN_OR_RETURN(out.optimizer, DecodeOptimizer(state.optimizer(), Path(field, "optimizer")));
  out.steps = state.steps();
  SPIKESERVE_ASSIGN_OR_RETURN(out.first_moments,
                              DecodeParameters(state.first_moments(), Path(field, "first_moments"), room));
  SPIKESERVE_ASSIGN_OR_RETURN(out.second_moments,
                              DecodeParameters(state.second_moments(), Path(field, "second_moments"), room));
  return out;
}

void EncodeOptimizerState(const OptimizerState& state, v1::OptimizerState* out) {
  if (state.optimizer.has_value()) EncodeOptimizer(*state.optimizer, out->mutable_optimizer());
  out->set_steps(state.steps);
  EncodeParameters(state.first_moments, out->mutable_first_moments());
  EncodeParameters(state.second_moments, out->mutable_second_moments());
}

}  // namespace spikeserve::codec

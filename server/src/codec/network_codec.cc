#include "codec/network_codec.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/overloaded.h"
#include "codec/plane_layer_codec.h"
#include "codec/tensor_codec.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

Surrogate DecodeSurrogate(const v1::Surrogate& surrogate) {
  switch (surrogate.kind_case()) {
    case v1::Surrogate::kSignSwish: {
      SignSwishSurrogate out;
      if (surrogate.sign_swish().has_beta()) out.beta = surrogate.sign_swish().beta();
      return out;
    }
    case v1::Surrogate::kBilinearLeakyRelu: {
      const auto& in = surrogate.bilinear_leaky_relu();
      BilinearLeakyReluSurrogate out;
      if (in.has_a()) out.a = in.a();
      if (in.has_b()) out.b = in.b();
      if (in.has_c()) out.c = in.c();
      return out;
    }
    case v1::Surrogate::kSigmoid:
    case v1::Surrogate::KIND_NOT_SET:
      break;
  }
  SigmoidSurrogate out;
  if (surrogate.sigmoid().has_alpha()) out.alpha = surrogate.sigmoid().alpha();
  return out;
}

void EncodeSurrogate(const Surrogate& surrogate, v1::Surrogate* out) {
  std::visit(Overloaded{
                 [&](const SigmoidSurrogate& s) { out->mutable_sigmoid()->set_alpha(s.alpha); },
                 [&](const SignSwishSurrogate& s) { out->mutable_sign_swish()->set_beta(s.beta); },
                 [&](const BilinearLeakyReluSurrogate& s) {
                   auto* b = out->mutable_bilinear_leaky_relu();
                   b->set_a(s.a);
                   b->set_b(s.b);
                   b->set_c(s.c);
                 },
             },
             surrogate);
}

// What the four neurons' messages share. `path` is the neuron's, such as "layers[2].lif_node".
template <typename Node>
absl::Status DecodeNeuron(const Node& node, const std::string& path, Room room, NeuronSpec& out) {
  if (node.has_v_threshold()) out.v_threshold = static_cast<float>(node.v_threshold());
  if (node.has_v_threshold_tensor()) {
    SPIKESERVE_ASSIGN_OR_RETURN(
        auto thresholds, Decode<float>(node.v_threshold_tensor(), path + ".v_threshold_tensor", Accept::kNumber, room));
    out.v_threshold = ThresholdTensor{thresholds.shape(), thresholds.ToVector()};
  }
  if (node.has_v_reset()) out.v_reset = static_cast<float>(node.v_reset());
  if (node.soft_reset()) {
    if (node.has_v_reset()) {
      return InvalidField(path + ".soft_reset", "true beside a v_reset", "no v_reset: a soft reset has none");
    }
    out.v_reset.reset();
  }
  out.surrogate = DecodeSurrogate(node.surrogate());
  out.monitor = node.monitor();
  return absl::OkStatus();
}

template <typename Node>
void EncodeNeuron(const NeuronSpec& spec, Node* node) {
  std::visit(Overloaded{
                 [&](float threshold) { node->set_v_threshold(threshold); },
                 [&](const ThresholdTensor&) { EncodeThreshold(spec.v_threshold, node->mutable_v_threshold_tensor()); },
             },
             spec.v_threshold);
  if (spec.v_reset) {
    node->set_v_reset(*spec.v_reset);
  } else {
    node->set_soft_reset(true);
  }
  EncodeSurrogate(spec.surrogate, node->mutable_surrogate());
  node->set_monitor(spec.monitor);
}

// One DecodeKind and one EncodeKind for each kind of layer; those on planes have a file of their own.

absl::StatusOr<LinearLayer> DecodeKind(const v1::Linear& in, const std::string& path, Room room) {
  const std::string weight_path = path + ".weight";
  SPIKESERVE_ASSIGN_OR_RETURN(auto weight, Decode<float>(in.weight(), weight_path, Accept::kNumber, room));
  SPIKESERVE_RETURN_IF_ERROR(CheckRank(weight.shape(), 2, weight_path, "[out, in]"));
  LinearLayer out;
  out.weight = weight.Matrix(weight.shape()[0], weight.shape()[1]);
  if (in.has_bias()) {
    SPIKESERVE_ASSIGN_OR_RETURN(auto bias, Decode<float>(in.bias(), path + ".bias", Accept::kNumber, room));
    SPIKESERVE_RETURN_IF_ERROR(CheckRank(bias.shape(), 1, path + ".bias", "[out]"));
    out.bias = bias.ToVector();
    if (out.bias.size() != static_cast<size_t>(out.weight.rows())) {
      return InvalidField(path + ".bias", absl::StrCat(out.bias.size(), " elements"),
                          absl::StrCat(out.weight.rows(), ", the rows of weight"));
    }
  }
  return out;
}

void EncodeKind(const LinearLayer& spec, v1::Layer* layer) {
  v1::Linear* out = layer->mutable_linear();
  EncodeTensor(spec.weight, out->mutable_weight());
  if (!spec.bias.empty()) EncodeTensor(spec.bias, out->mutable_bias());
}

absl::StatusOr<IfNode> DecodeKind(const v1::IfNode& in, const std::string& path, Room room) {
  IfNode out;
  SPIKESERVE_RETURN_IF_ERROR(DecodeNeuron(in, path, room, out));
  return out;
}

void EncodeKind(const IfNode& spec, v1::Layer* layer) { EncodeNeuron(spec, layer->mutable_if_node()); }

absl::StatusOr<LifNode> DecodeKind(const v1::LifNode& in, const std::string& path, Room room) {
  LifNode out;
  SPIKESERVE_RETURN_IF_ERROR(DecodeNeuron(in, path, room, out));
  if (in.has_tau()) out.tau = in.tau();
  return out;
}

void EncodeKind(const LifNode& spec, v1::Layer* layer) {
  EncodeNeuron(spec, layer->mutable_lif_node());
  layer->mutable_lif_node()->set_tau(spec.tau);
}

absl::StatusOr<PlifNode> DecodeKind(const v1::PlifNode& in, const std::string& path, Room room) {
  PlifNode out;
  SPIKESERVE_RETURN_IF_ERROR(DecodeNeuron(in, path, room, out));
  if (in.has_init_tau()) out.init_tau = in.init_tau();
  if (in.has_p()) out.p = in.p();
  return out;
}

void EncodeKind(const PlifNode& spec, v1::Layer* layer) {
  v1::PlifNode* out = layer->mutable_plif_node();
  EncodeNeuron(spec, out);
  out->set_init_tau(spec.init_tau);
  if (spec.p) out->set_p(*spec.p);
}

absl::StatusOr<RifNode> DecodeKind(const v1::RifNode& in, const std::string& path, Room room) {
  RifNode out;
  SPIKESERVE_RETURN_IF_ERROR(DecodeNeuron(in, path, room, out));
  if (in.has_init_w()) out.init_w = in.init_w();
  if (in.has_amplitude()) out.bounds = {-in.amplitude(), in.amplitude()};
  if (in.has_amplitude_range()) out.bounds = {in.amplitude_range().lo(), in.amplitude_range().hi()};
  if (in.has_g()) out.g = in.g();
  switch (in.rule()) {
    case v1::RifNode::RULE_UNSPECIFIED:
    case v1::RifNode::RULE_REFERENCE:
      out.rule = RifNode::Rule::kReference;
      break;
    case v1::RifNode::RULE_DEFINITION:
      out.rule = RifNode::Rule::kDefinition;
      break;
    default:
      return InvalidField(path + ".rule", absl::StrCat(in.rule()), "RULE_REFERENCE or RULE_DEFINITION");
  }
  return out;
}

void EncodeKind(const RifNode& spec, v1::Layer* layer) {
  v1::RifNode* out = layer->mutable_rif_node();
  EncodeNeuron(spec, out);
  out->set_init_w(spec.init_w);
  if (spec.bounds && spec.bounds->first == -spec.bounds->second) {
    out->set_amplitude(spec.bounds->second);
  } else if (spec.bounds) {
    out->mutable_amplitude_range()->set_lo(spec.bounds->first);
    out->mutable_amplitude_range()->set_hi(spec.bounds->second);
  }
  if (spec.g) out->set_g(*spec.g);
  out->set_rule(spec.rule == RifNode::Rule::kReference ? v1::RifNode::RULE_REFERENCE : v1::RifNode::RULE_DEFINITION);
}

absl::StatusOr<LowPassSynapse> DecodeKind(const v1::LowPassSynapse& in, const std::string& path, Room) {
  LowPassSynapse out;
  if (in.has_tau()) out.tau = in.tau();
  out.learnable = in.learnable();
  if (in.has_p()) {
    if (!in.learnable()) return InvalidField(path + ".p", absl::StrCat(in.p()), "none, or learnable: true beside it");
    out.p = in.p();
  }
  return out;
}

void EncodeKind(const LowPassSynapse& spec, v1::Layer* layer) {
  v1::LowPassSynapse* out = layer->mutable_low_pass_synapse();
  out->set_tau(spec.tau);
  if (!spec.learnable) return;
  out->set_learnable(true);
  if (spec.p) out->set_p(*spec.p);
}

absl::StatusOr<Dropout> DecodeKind(const v1::Dropout& in, const std::string&, Room) {
  Dropout out;
  if (in.has_p()) out.p = in.p();
  out.seed = in.seed();
  return out;
}

void EncodeKind(const Dropout& spec, v1::Layer* layer) {
  layer->mutable_dropout()->set_p(spec.p);
  layer->mutable_dropout()->set_seed(spec.seed);
}

}  // namespace

absl::StatusOr<LayerSpec> DecodeLayer(const v1::Layer& layer, std::string_view field, Room room) {
  LayerSpec spec;
  spec.name = layer.name();
  const auto set = [&](const auto& message, const char* kind) -> absl::Status {
    SPIKESERVE_ASSIGN_OR_RETURN(spec.kind, DecodeKind(message, absl::StrCat(std::string(field), ".", kind), room));
    return absl::OkStatus();
  };
  const absl::Status status = [&] {
    switch (layer.kind_case()) {
      case v1::Layer::kLinear:
        return set(layer.linear(), "linear");
      case v1::Layer::kIfNode:
        return set(layer.if_node(), "if_node");
      case v1::Layer::kLifNode:
        return set(layer.lif_node(), "lif_node");
      case v1::Layer::kPlifNode:
        return set(layer.plif_node(), "plif_node");
      case v1::Layer::kRifNode:
        return set(layer.rif_node(), "rif_node");
      case v1::Layer::kLowPassSynapse:
        return set(layer.low_pass_synapse(), "low_pass_synapse");
      case v1::Layer::kDropout:
        return set(layer.dropout(), "dropout");
      case v1::Layer::kConv2D:
        return set(layer.conv2d(), "conv2d");
      case v1::Layer::kAvgPool2D:
        return set(layer.avg_pool2d(), "avg_pool2d");
      case v1::Layer::kMaxPool2D:
        return set(layer.max_pool2d(), "max_pool2d");
      case v1::Layer::kFlatten:
        return set(layer.flatten(), "flatten");
      case v1::Layer::kBatchNorm2D:
        return set(layer.batch_norm2d(), "batch_norm2d");
      case v1::Layer::KIND_NOT_SET:
        break;
    }
    return InvalidField(absl::StrCat(std::string(field), ".kind"), "absent",
                        "one of linear, if_node, lif_node, plif_node, rif_node, low_pass_synapse, dropout, conv2d, "
                        "avg_pool2d, max_pool2d, flatten, batch_norm2d");
  }();
  if (!status.ok()) return status;
  return spec;
}

void EncodeLayer(const LayerSpec& spec, v1::Layer* layer) {
  layer->set_name(spec.name);
  std::visit([&](const auto& kind) { EncodeKind(kind, layer); }, spec.kind);
}

void EncodeThreshold(const std::variant<float, ThresholdTensor>& threshold, const TensorTarget& out) {
  std::visit(Overloaded{
                 [&](float value) { EncodeTensor(value, out); },
                 [&](const ThresholdTensor& tensor) {
                   EncodeTensor(TensorView(absl::MakeConstSpan(tensor.values), tensor.shape), out);
                 },
             },
             threshold);
}

void EncodeRecord(const LayerRecord& record, const RecordRequest& parts, DataType mask_dtype, bool single_step,
                  v1::LayerRecord* out) {
  const Shape shape = single_step ? Shape(record.shape.begin() + 1, record.shape.end()) : record.shape;
  out->set_layer(record.layer);
  if (parts.spikes) EncodeMask(absl::MakeConstSpan(record.spikes), shape, mask_dtype, out->mutable_spikes());
  const auto encode = [&](const std::vector<float>& values, v1::Tensor* tensor) {
    EncodeTensor(TensorView(absl::MakeConstSpan(values), shape), tensor);
  };
  if (parts.v_before_reset) encode(record.v_before_reset, out->mutable_v_before_reset());
  if (parts.v_after_reset) encode(record.v_after_reset, out->mutable_v_after_reset());
}

}  // namespace spikeserve::codec

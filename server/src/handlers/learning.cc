// Backward, ZeroGradients and ApplyGradients.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/nested_tensors.h"
#include "codec/network_state_codec.h"
#include "codec/tensor_codec.h"
#include "handlers/handlers.h"
#include "handlers/reserve.h"
#include "runtime/limits.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

using Gradient = std::optional<codec::Array<float>>;

absl::Span<const float> ValuesOf(const Gradient& gradient) {
  return gradient.has_value() ? gradient->values() : absl::Span<const float>();
}

// Nothing where the field is absent. Network checks how many elements there are, but not in which shape they come:
// `traced`, which is known unless the network refuses the gradient for another reason.
absl::StatusOr<Gradient> DecodeGradient(bool has, const codec::WireTensor& tensor, const std::string& field,
                                        const std::optional<Shape>& traced, codec::Room room) {
  if (!has) return Gradient();
  SPIKESERVE_ASSIGN_OR_RETURN(auto array, codec::Decode<float>(tensor, field, codec::Accept::kNumber, room));
  if (traced.has_value() && array.shape() != *traced) {
    return InvalidField(field, absl::StrCat("shape ", ShapeString(array.shape())),
                        absl::StrCat(ShapeString(*traced), ", the trace's steps of what the gradient is of"));
  }
  return Gradient(std::move(array));
}

}  // namespace

absl::StatusOr<Outgoing<v1::BackwardResponse>> Backward(Incoming<v1::BackwardRequest> request, HeldNetwork& held,
                                                        Context& context) {
  const Limits& limits = context.limits;
  if (const int64_t bytes = codec::NestedFloatBytes(*request); bytes > limits.max_decoded_bytes) {
    return OverLimit("layer_gradients", bytes, "bytes of tensors", limits.max_decoded_bytes, "--max-decoded-bytes");
  }
  BackwardOptions options{.grad_output = {}, .layers = {}, .compute_grad_input = request->compute_grad_input()};
  SPIKESERVE_ASSIGN_OR_RETURN(const Gradient grad_output,
                              DecodeGradient(request.has_tensor(v1::BackwardRequest::kGradOutputFieldNumber),
                                             request.tensor(v1::BackwardRequest::kGradOutputFieldNumber), "grad_output",
                                             held.network.TracedShape(), context.room));
  options.grad_output = ValuesOf(grad_output);
  if (const int64_t most = held.network.layer_count(); request->layer_gradients_size() > most) {
    return InvalidField("layer_gradients", absl::StrCat(request->layer_gradients_size(), " entries"),
                        absl::StrCat("at most ", most, ", each layer once"));
  }
  std::vector<Gradient> decoded;
  decoded.reserve(3 * request->layer_gradients_size());
  std::vector<LayerGradient> layers;
  for (int k = 0; k < request->layer_gradients_size(); ++k) {
    // Nothing is changed yet, and to find a layer's shape takes as long as there are layers.
    SPIKESERVE_RETURN_IF_ERROR(context.wanted());
    const v1::LayerGradient& in = request->layer_gradients(k);
    const std::string field = absl::StrCat("layer_gradients[", k, "]");
    // An absent name is no layer's, but not the output either.
    const std::optional<Shape> traced = in.layer().empty() ? std::nullopt : held.network.TracedShape(in.layer());
    const auto decode = [&](bool has, const v1::Tensor& tensor, const char* name,
                            absl::Span<const float>& values) -> absl::Status {
      SPIKESERVE_ASSIGN_OR_RETURN(Gradient gradient, DecodeGradient(has, tensor, field + name, traced, context.room));
      values = ValuesOf(decoded.emplace_back(std::move(gradient)));
      return absl::OkStatus();
    };
    LayerGradient& layer = layers.emplace_back(LayerGradient{.layer = in.layer()});
    SPIKESERVE_RETURN_IF_ERROR(decode(in.has_grad_spikes(), in.grad_spikes(), ".grad_spikes", layer.spikes));
    SPIKESERVE_RETURN_IF_ERROR(
        decode(in.has_grad_v_before_reset(), in.grad_v_before_reset(), ".grad_v_before_reset", layer.v_before_reset));
    SPIKESERVE_RETURN_IF_ERROR(
        decode(in.has_grad_v_after_reset(), in.grad_v_after_reset(), ".grad_v_after_reset", layer.v_after_reset));
  }
  options.layers = layers;

  const int64_t parameters = held.network.ParameterByteSize();
  const int64_t results =
      held.network.BackwardResultByteSize(options) + (request->include_gradients() ? parameters : 0);
  if (results > limits.max_message_bytes) {
    return OverLimit("network", results, "bytes of gradients", limits.max_message_bytes, "--max-message-bytes");
  }
  // With the reply, which is kept where the change has its number, and the first gradients, or a copy of those before.
  SPIKESERVE_RETURN_IF_ERROR(Reserve(held, {parameters, results, held.network.BackwardByteSize()}, context));
  SPIKESERVE_ASSIGN_OR_RETURN(const BackwardResult result,
                              held.network.Backward(options, context.executor, context.wanted));
  Outgoing<v1::BackwardResponse> response(context.buffers);
  if (options.compute_grad_input) {
    codec::EncodeTensor(TensorView(absl::MakeConstSpan(result.grad_input), result.shape),
                        response.tensor(v1::BackwardResponse::kGradInputFieldNumber));
  }
  if (request->include_gradients()) {
    codec::EncodeParameters(held.network.Gradients(), response->mutable_gradients());
  }
  return response;
}

absl::StatusOr<Outgoing<v1::ZeroGradientsResponse>> ZeroGradients(Incoming<v1::ZeroGradientsRequest>, HeldNetwork& held,
                                                                  Context& context) {
  held.network.ZeroGradients();
  return Outgoing<v1::ZeroGradientsResponse>(context.buffers);
}

absl::StatusOr<Outgoing<v1::ApplyGradientsResponse>> ApplyGradients(Incoming<v1::ApplyGradientsRequest> request,
                                                                    HeldNetwork& held, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const Optimizer optimizer, codec::DecodeOptimizer(request->optimizer(), "optimizer"));
  // The optimiser's memory, and what becomes of that and of the parameters, beside what they are.
  SPIKESERVE_RETURN_IF_ERROR(Reserve(held, {5 * held.network.ParameterByteSize()}, context));
  SPIKESERVE_RETURN_IF_ERROR(held.network.ApplyGradients(optimizer, context.executor, context.wanted));
  return Outgoing<v1::ApplyGradientsResponse>(context.buffers);
}

}  // namespace spikeserve::server

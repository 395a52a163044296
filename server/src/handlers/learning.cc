// Backward, ZeroGradients and ApplyGradients.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/network_state_codec.h"
#include "codec/tensor_codec.h"
#include "handlers/handlers.h"
#include "runtime/limits.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

using Gradient = std::optional<codec::Array<float>>;

absl::Span<const float> ValuesOf(const Gradient& gradient) {
  return gradient.has_value() ? gradient->values() : absl::Span<const float>();
}

// The gradients of a request as they came.
class GradientDecoder {
 public:
  GradientDecoder(const Network& network, int64_t max_bytes) : steps_(network.trace_steps()), max_bytes_(max_bytes) {}

  // Nothing where the field is absent. Network checks the number of elements, but not in which shape they come: the
  // first dimension is checked here, so that steps are not taken for samples.
  absl::StatusOr<Gradient> Decode(bool has, const codec::WireTensor& tensor, const std::string& field) const {
    if (!has) return Gradient();
    SPIKESERVE_ASSIGN_OR_RETURN(auto array, codec::Decode<float>(tensor, field, codec::Accept::kNumber, max_bytes_));
    if (steps_ > 0 && (array.shape().empty() || array.shape()[0] != steps_)) {
      return InvalidField(field, absl::StrCat("shape ", ShapeString(array.shape())),
                          absl::StrCat("[", steps_, ", batch, features ...], the ", steps_, " steps of the trace"));
    }
    return Gradient(std::move(array));
  }

 private:
  const int64_t steps_;
  const int64_t max_bytes_;
};

}  // namespace

absl::StatusOr<Outgoing<v1::BackwardResponse>> Backward(Incoming<v1::BackwardRequest> request, HeldNetwork& held,
                                                        Context& context) {
  const GradientDecoder decoder(held.network, context.limits.max_decoded_bytes);
  BackwardOptions options{.grad_output = {}, .layers = {}, .compute_grad_input = request->compute_grad_input()};
  SPIKESERVE_ASSIGN_OR_RETURN(
      const Gradient grad_output,
      decoder.Decode(request.has_tensor(v1::BackwardRequest::kGradOutputFieldNumber),
                     request.tensor(v1::BackwardRequest::kGradOutputFieldNumber), "grad_output"));
  options.grad_output = ValuesOf(grad_output);
  std::vector<Gradient> decoded;
  decoded.reserve(3 * request->layer_gradients_size());
  std::vector<LayerGradient> layers;
  for (int k = 0; k < request->layer_gradients_size(); ++k) {
    const v1::LayerGradient& in = request->layer_gradients(k);
    const std::string field = absl::StrCat("layer_gradients[", k, "]");
    const auto decode = [&](bool has, const v1::Tensor& tensor, const char* name,
                            absl::Span<const float>& values) -> absl::Status {
      SPIKESERVE_ASSIGN_OR_RETURN(Gradient gradient, decoder.Decode(has, tensor, field + name));
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
  if (const int64_t bytes =
          held.network.BackwardResultByteSize(options) + (request->include_gradients() ? parameters : 0);
      bytes > context.limits.max_message_bytes) {
    return OverLimit("network", bytes, "bytes of gradients", context.limits.max_message_bytes, "--max-message-bytes");
  }
  SPIKESERVE_RETURN_IF_ERROR(context.networks.SetBytes(held, held.ByteSize() + parameters));
  SPIKESERVE_ASSIGN_OR_RETURN(const BackwardResult result, held.network.Backward(options, context.executor));
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
  // The optimiser's memory, if it has none yet.
  SPIKESERVE_RETURN_IF_ERROR(context.networks.SetBytes(held, held.ByteSize() + 2 * held.network.ParameterByteSize()));
  SPIKESERVE_RETURN_IF_ERROR(held.network.ApplyGradients(optimizer, context.executor));
  return Outgoing<v1::ApplyGradientsResponse>(context.buffers);
}

}  // namespace spikeserve::server

// The calls that train networks.

#include "spikeserve/client/training.h"

#include <cstdint>

#include "calls/network_target.h"
#include "codec/nested_tensors.h"
#include "codec/network_state_codec.h"
#include "codec/training_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/training.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<BackwardArgs> {
  using Request = v1::BackwardRequest;
  using Response = v1::BackwardResponse;

  static void Encode(const BackwardArgs& args, RequestBuilder<Request>& request) {
    EncodeTarget(args, *request);
    if (args.grad_output) request.Put(Request::kGradOutputFieldNumber, *args.grad_output);
    for (const LayerGradientViews& in : args.layers) {
      v1::LayerGradient* out = request->add_layer_gradients();
      out->set_layer(in.layer);
      if (in.spikes) codec::EncodeTensor(*in.spikes, out->mutable_grad_spikes());
      if (in.v_before_reset) codec::EncodeTensor(*in.v_before_reset, out->mutable_grad_v_before_reset());
      if (in.v_after_reset) codec::EncodeTensor(*in.v_after_reset, out->mutable_grad_v_after_reset());
    }
    request->set_compute_grad_input(args.compute_grad_input);
    request->set_include_gradients(args.include_gradients);
  }

  static absl::StatusOr<BackwardArgs::Result> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_RETURN_IF_ERROR(codec::CheckElementsAreThere(*response));
    BackwardArgs::Result result;
    SPIKESERVE_ASSIGN_OR_RETURN(result.grad_input,
                                response.TakeOptional(Response::kGradInputFieldNumber, "grad_input"));
    SPIKESERVE_ASSIGN_OR_RETURN(result.gradients,
                                codec::DecodeParameters(response->gradients(), "gradients", INT64_MAX));
    result.next_step = response->next_step();
    return result;
  }
};

template <>
struct RpcTraits<ZeroGradientsArgs>
    : ChangeTraits<ZeroGradientsArgs, v1::ZeroGradientsRequest, v1::ZeroGradientsResponse> {};

template <>
struct RpcTraits<ApplyGradientsArgs>
    : ChangeTraits<ApplyGradientsArgs, v1::ApplyGradientsRequest, v1::ApplyGradientsResponse> {
  static void Encode(const ApplyGradientsArgs& args, RequestBuilder<Request>& request) {
    EncodeTarget(args, *request);
    codec::EncodeOptimizer(args.optimizer, request->mutable_optimizer());
  }
};

template <>
struct RpcTraits<TrainStepArgs> {
  using Request = v1::TrainStepRequest;
  using Response = v1::TrainStepResponse;

  static void Encode(const TrainStepArgs& args, RequestBuilder<Request>& request) {
    EncodeTarget(args, *request);
    request.Put(Request::kInputFieldNumber, args.input);
    request.Put(Request::kLabelsFieldNumber, args.labels);
    codec::EncodeTrainStepOptions(args.options, &*request);
    if (args.repeat_input) request->set_repeat_input(*args.repeat_input);
  }

  static absl::StatusOr<TrainStepArgs::Result> Decode(ResponseReader<Response>& response) {
    return TrainStepArgs::Result{codec::DecodeTrainStepResult(*response), response->next_step()};
  }
};

SPIKESERVE_INSTANTIATE_CALL(BackwardArgs);
SPIKESERVE_INSTANTIATE_CALL(ZeroGradientsArgs);
SPIKESERVE_INSTANTIATE_CALL(ApplyGradientsArgs);
SPIKESERVE_INSTANTIATE_CALL(TrainStepArgs);

}  // namespace spikeserve

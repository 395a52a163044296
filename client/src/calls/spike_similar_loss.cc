#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<SpikeSimilarLossArgs> {
  using Request = v1::SpikeSimilarLossRequest;
  using Response = v1::SpikeSimilarLossResponse;

  static void Encode(const SpikeSimilarLossArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kSpikesFieldNumber, args.spikes);
    request.Put(Request::kLabelsFieldNumber, args.labels);
    codec::EncodeKernel(args.kernel, request->mutable_kernel());
    request->set_loss_type(codec::EncodeLossType(args.loss_type));
    request->set_compute_gradient(args.compute_gradient);
  }

  static absl::StatusOr<SpikeSimilarLossResult> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(auto grad_spikes,
                                response.TakeOptional(Response::kGradSpikesFieldNumber, "grad_spikes"));
    return SpikeSimilarLossResult{response->loss(), std::move(grad_spikes)};
  }
};

SPIKESERVE_INSTANTIATE_CALL(SpikeSimilarLossArgs);

}  // namespace spikeserve

#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<SpikeSimilarLossArgs> {
  using Request = v1::SpikeSimilarLossRequest;
  using Response = v1::SpikeSimilarLossResponse;

  static void Encode(const SpikeSimilarLossArgs& args, Request& request) {
    codec::EncodeTensor(args.spikes, request.mutable_spikes());
    codec::EncodeTensor(args.labels, request.mutable_labels());
    codec::EncodeKernel(args.kernel, request.mutable_kernel());
    request.set_loss_type(codec::EncodeLossType(args.loss_type));
    request.set_compute_gradient(args.compute_gradient);
  }

  static absl::StatusOr<SpikeSimilarLossResult> Decode(const Response& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(
        auto grad_spikes, DecodeOptionalResult(response.has_grad_spikes(), response.grad_spikes(), "grad_spikes"));
    return SpikeSimilarLossResult{response.loss(), std::move(grad_spikes)};
  }
};

SPIKESERVE_INSTANTIATE_CALL(SpikeSimilarLossArgs);

}  // namespace spikeserve

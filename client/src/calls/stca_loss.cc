#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<StcaLossArgs> {
  using Request = v1::StcaLossRequest;
  using Response = v1::StcaLossResponse;

  static void Encode(const StcaLossArgs& args, Request& request) {
    codec::EncodeTensor(args.v, request.mutable_v());
    codec::EncodeTensor(args.v_threshold, request.mutable_v_threshold());
    request.set_t_in(args.t_in);
    codec::EncodeTensor(args.n_d, request.mutable_n_d());
    request.set_compute_gradient(args.compute_gradient);
  }

  static absl::StatusOr<StcaLossOutput> Decode(const Response& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor n_o, DecodeResult(response.n_o(), "n_o"));
    SPIKESERVE_ASSIGN_OR_RETURN(auto grad_v, DecodeOptionalResult(response.has_grad_v(), response.grad_v(), "grad_v"));
    return StcaLossOutput{response.loss(), std::move(n_o), std::move(grad_v)};
  }
};

SPIKESERVE_INSTANTIATE_CALL(StcaLossArgs);

}  // namespace spikeserve

#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<StcaLossArgs> {
  using Request = v1::StcaLossRequest;
  using Response = v1::StcaLossResponse;

  static void Encode(const StcaLossArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kVFieldNumber, args.v);
    request.Put(Request::kVThresholdFieldNumber, args.v_threshold);
    request->set_t_in(args.t_in);
    request.Put(Request::kNDFieldNumber, args.n_d);
    request->set_compute_gradient(args.compute_gradient);
  }

  static absl::StatusOr<StcaLossOutput> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor n_o, response.Take(Response::kNOFieldNumber, "n_o"));
    SPIKESERVE_ASSIGN_OR_RETURN(auto grad_v, response.TakeOptional(Response::kGradVFieldNumber, "grad_v"));
    return StcaLossOutput{response->loss(), std::move(n_o), std::move(grad_v)};
  }
};

SPIKESERVE_INSTANTIATE_CALL(StcaLossArgs);

}  // namespace spikeserve

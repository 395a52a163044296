#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<SpikeClusterArgs> {
  using Request = v1::SpikeClusterRequest;
  using Response = v1::SpikeClusterResponse;

  static void Encode(const SpikeClusterArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kVFieldNumber, args.v);
    request.Put(Request::kVThresholdFieldNumber, args.v_threshold);
    request->set_t_in(args.options.t_in);
    request->set_rule(codec::EncodeClusterRule(args.options.rule));
    if (args.options.v_min) request->set_v_min(*args.options.v_min);
    request->set_mask_dtype(codec::ToWire(args.mask_dtype));
    request->set_index_output(args.index_output);
  }

  static absl::StatusOr<SpikeClusterResult> Decode(ResponseReader<Response>& response) {
    SpikeClusterResult result;
    SPIKESERVE_ASSIGN_OR_RETURN(result.n_o, response.Take(Response::kNOFieldNumber, "n_o"));
    SPIKESERVE_ASSIGN_OR_RETURN(result.k_positive, response.Take(Response::kKPositiveFieldNumber, "k_positive"));
    SPIKESERVE_ASSIGN_OR_RETURN(result.k_negative, response.Take(Response::kKNegativeFieldNumber, "k_negative"));
    return result;
  }
};

SPIKESERVE_INSTANTIATE_CALL(SpikeClusterArgs);

}  // namespace spikeserve

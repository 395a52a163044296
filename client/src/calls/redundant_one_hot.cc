#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve {

template <>
struct RpcTraits<RedundantOneHotArgs> {
  using Request = v1::RedundantOneHotRequest;
  using Response = v1::RedundantOneHotResponse;

  static void Encode(const RedundantOneHotArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kLabelsFieldNumber, args.labels);
    request->set_num_classes(args.num_classes);
    request->set_n(args.n);
    request->set_mask_dtype(codec::ToWire(args.mask_dtype));
  }

  static absl::StatusOr<Tensor> Decode(ResponseReader<Response>& response) {
    return response.Take(Response::kCodesFieldNumber, "codes");
  }
};

SPIKESERVE_INSTANTIATE_CALL(RedundantOneHotArgs);

}  // namespace spikeserve

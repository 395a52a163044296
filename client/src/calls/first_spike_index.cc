#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve {

template <>
struct RpcTraits<FirstSpikeIndexArgs> {
  using Request = v1::FirstSpikeIndexRequest;
  using Response = v1::FirstSpikeIndexResponse;

  static void Encode(const FirstSpikeIndexArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kSpikesFieldNumber, args.spikes);
    request->set_mask_dtype(codec::ToWire(args.mask_dtype));
    request->set_index_output(args.index_output);
  }

  static absl::StatusOr<Tensor> Decode(ResponseReader<Response>& response) {
    return response.Take(Response::kIndexFieldNumber, "index");
  }
};

SPIKESERVE_INSTANTIATE_CALL(FirstSpikeIndexArgs);

}  // namespace spikeserve

#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve {

template <>
struct RpcTraits<FirstSpikeIndexArgs> {
  using Request = v1::FirstSpikeIndexRequest;
  using Response = v1::FirstSpikeIndexResponse;

  static void Encode(const FirstSpikeIndexArgs& args, Request& request) {
    codec::EncodeTensor(args.spikes, request.mutable_spikes());
    request.set_mask_dtype(codec::ToWire(args.mask_dtype));
    request.set_index_output(args.index_output);
  }

  static absl::StatusOr<Tensor> Decode(const Response& response) { return DecodeResult(response.index(), "index"); }
};

SPIKESERVE_INSTANTIATE_CALL(FirstSpikeIndexArgs);

}  // namespace spikeserve

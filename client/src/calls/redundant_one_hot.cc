#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve {

template <>
struct RpcTraits<RedundantOneHotArgs> {
  using Request = v1::RedundantOneHotRequest;
  using Response = v1::RedundantOneHotResponse;

  static void Encode(const RedundantOneHotArgs& args, Request& request) {
    codec::EncodeTensor(args.labels, request.mutable_labels());
    request.set_num_classes(args.num_classes);
    request.set_n(args.n);
    request.set_mask_dtype(codec::ToWire(args.mask_dtype));
  }

  static absl::StatusOr<Tensor> Decode(const Response& response) { return DecodeResult(response.codes(), "codes"); }
};

SPIKESERVE_INSTANTIATE_CALL(RedundantOneHotArgs);

}  // namespace spikeserve

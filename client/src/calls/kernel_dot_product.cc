#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve {

template <>
struct RpcTraits<KernelDotProductArgs> {
  using Request = v1::KernelDotProductRequest;
  using Response = v1::KernelDotProductResponse;

  static void Encode(const KernelDotProductArgs& args, Request& request) {
    codec::EncodeTensor(args.x, request.mutable_x());
    if (args.y) codec::EncodeTensor(*args.y, request.mutable_y());
    codec::EncodeKernel(args.kernel, request.mutable_kernel());
  }

  static absl::StatusOr<Tensor> Decode(const Response& response) { return DecodeResult(response.ret(), "ret"); }
};

SPIKESERVE_INSTANTIATE_CALL(KernelDotProductArgs);

}  // namespace spikeserve

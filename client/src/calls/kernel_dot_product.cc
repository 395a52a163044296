#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve {

template <>
struct RpcTraits<KernelDotProductArgs> {
  using Request = v1::KernelDotProductRequest;
  using Response = v1::KernelDotProductResponse;

  static void Encode(const KernelDotProductArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kXFieldNumber, args.x);
    if (args.y) request.Put(Request::kYFieldNumber, *args.y);
    codec::EncodeKernel(args.kernel, request->mutable_kernel());
  }

  static absl::StatusOr<Tensor> Decode(ResponseReader<Response>& response) {
    return response.Take(Response::kRetFieldNumber, "ret");
  }
};

SPIKESERVE_INSTANTIATE_CALL(KernelDotProductArgs);

}  // namespace spikeserve

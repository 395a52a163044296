#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<KernelDotProductVjpArgs> {
  using Request = v1::KernelDotProductVjpRequest;
  using Response = v1::KernelDotProductVjpResponse;

  static void Encode(const KernelDotProductVjpArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kXFieldNumber, args.x);
    if (args.y) request.Put(Request::kYFieldNumber, *args.y);
    codec::EncodeKernel(args.kernel, request->mutable_kernel());
    request.Put(Request::kGradOutputFieldNumber, args.grad_output);
  }

  static absl::StatusOr<KernelDotProductVjpResult> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor grad_x, response.Take(Response::kGradXFieldNumber, "grad_x"));
    SPIKESERVE_ASSIGN_OR_RETURN(auto grad_y, response.TakeOptional(Response::kGradYFieldNumber, "grad_y"));
    return KernelDotProductVjpResult{std::move(grad_x), std::move(grad_y)};
  }
};

SPIKESERVE_INSTANTIATE_CALL(KernelDotProductVjpArgs);

}  // namespace spikeserve

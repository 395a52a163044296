#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"
#include "spikeserve/compute/kernel.h"

namespace spikeserve::server {
namespace {

using Request = v1::KernelDotProductRequest;
using Response = v1::KernelDotProductResponse;

}  // namespace

int64_t KernelDotProductWork(Incoming<Request> request) {
  const codec::WireTensor x = request.tensor(Request::kXFieldNumber);
  const codec::WireTensor y = request.has_tensor(Request::kYFieldNumber) ? request.tensor(Request::kYFieldNumber) : x;
  return Product({Elements(x), Rows(y)});
}

absl::StatusOr<Outgoing<Response>> KernelDotProduct(Incoming<Request> request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, codec::DecodeKernel(request->kernel()));
  Outgoing<Response> response(context.buffers);
  const auto compute = [&]<typename Scalar>() -> absl::Status {
    SPIKESERVE_ASSIGN_OR_RETURN(auto x, DecodeMatrix<Scalar>(request.tensor(Request::kXFieldNumber), "x",
                                                             codec::Accept::kNumber, "[N, M]", context));
    const auto product = [&](const codec::Array<Scalar>& y) -> absl::Status {
      SPIKESERVE_ASSIGN_OR_RETURN(auto ret, ResultMatrix<Scalar>(x.shape()[0], y.shape()[0], "ret", context,
                                                                 response.tensor(Response::kRetFieldNumber)));
      return spikeserve::KernelDotProduct<Scalar>(AsMatrix(x), AsMatrix(y), kernel, ret, context.executor);
    };
    if (!request.has_tensor(Request::kYFieldNumber)) return product(x);
    SPIKESERVE_ASSIGN_OR_RETURN(auto y, DecodeMatrix<Scalar>(request.tensor(Request::kYFieldNumber), "y",
                                                             codec::Accept::kNumber, "[K, M]", context));
    return product(y);
  };
  SPIKESERVE_RETURN_IF_ERROR(
      WithScalar(compute, request.tensor(Request::kXFieldNumber), request.tensor(Request::kYFieldNumber)));
  return response;
}

}  // namespace spikeserve::server

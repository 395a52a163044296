#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"
#include "spikeserve/compute/kernel.h"

namespace spikeserve::server {

absl::StatusOr<v1::KernelDotProductResponse> KernelDotProduct(const v1::KernelDotProductRequest& request,
                                                              Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, codec::DecodeKernel(request.kernel()));
  v1::KernelDotProductResponse response;
  const auto compute = [&]<typename Scalar>() -> absl::Status {
    SPIKESERVE_ASSIGN_OR_RETURN(auto x,
                                DecodeMatrix<Scalar>(request.x(), "x", codec::Accept::kNumber, "[N, M]", context));
    const auto product = [&](const codec::Array<Scalar>& y) -> absl::Status {
      SPIKESERVE_ASSIGN_OR_RETURN(
          auto ret, ResultMatrix<Scalar>(x.shape()[0], y.shape()[0], "ret", context, response.mutable_ret()));
      return spikeserve::KernelDotProduct<Scalar>(AsMatrix(x), AsMatrix(y), kernel, ret, context.executor);
    };
    if (!request.has_y()) return product(x);
    SPIKESERVE_ASSIGN_OR_RETURN(auto y,
                                DecodeMatrix<Scalar>(request.y(), "y", codec::Accept::kNumber, "[K, M]", context));
    return product(y);
  };
  SPIKESERVE_RETURN_IF_ERROR(WithScalar(compute, request.x(), request.y()));
  return response;
}

}  // namespace spikeserve::server

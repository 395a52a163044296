#include <string_view>

#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"
#include "spikeserve/compute/kernel_vjp.h"

namespace spikeserve::server {
namespace {

using Request = v1::KernelDotProductVjpRequest;
using Response = v1::KernelDotProductVjpResponse;

}  // namespace

int64_t KernelDotProductVjpWork(Incoming<Request> request) {
  // The kernels, and two gradients that take as long each.
  return Product({3, Elements(request.tensor(Request::kXFieldNumber)),
                  Rows(request.tensor(request.has_tensor(Request::kYFieldNumber) ? Request::kYFieldNumber
                                                                                 : Request::kXFieldNumber))});
}

absl::StatusOr<Outgoing<Response>> KernelDotProductVjp(Incoming<Request> request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, codec::DecodeKernel(request->kernel()));
  const bool has_y = request.has_tensor(Request::kYFieldNumber);
  const codec::WireTensor x_tensor = request.tensor(Request::kXFieldNumber);
  const codec::WireTensor y_tensor = has_y ? request.tensor(Request::kYFieldNumber) : x_tensor;
  const codec::WireTensor grad_tensor = request.tensor(Request::kGradOutputFieldNumber);
  Outgoing<Response> response(context.buffers);

  const auto compute = [&]<typename Scalar>() -> absl::Status {
    const auto decode = [&](const codec::WireTensor& tensor, std::string_view field, std::string_view needed) {
      return DecodeMatrix<Scalar>(tensor, field, codec::Accept::kNumber, needed, context);
    };
    const auto result_like = [&](const codec::Array<Scalar>& array, std::string_view field, int number) {
      return ResultMatrix<Scalar>(array.shape()[0], array.shape()[1], field, context, response.tensor(number));
    };
    SPIKESERVE_ASSIGN_OR_RETURN(const auto x, decode(x_tensor, "x", "[N, M]"));
    SPIKESERVE_ASSIGN_OR_RETURN(const auto grad_output, decode(grad_tensor, "grad_output", "[N, K]"));
    SPIKESERVE_ASSIGN_OR_RETURN(auto grad_x, result_like(x, "grad_x", Response::kGradXFieldNumber));
    // Besides those of the operands there are those of the pairs' weights, of their sums, and of the operands' columns.
    constexpr int64_t kScalar = sizeof(Scalar);
    const int64_t n = x.shape()[0], m = x.shape()[1], k = grad_output.shape()[1];
    const int64_t of_grad_x = LayoutBytes(n, k, kScalar) + LayoutBytes(1, k, kScalar) + LayoutBytes(m, k, kScalar);
    const int64_t of_grad_y =
        has_y ? LayoutBytes(k, n, kScalar) + LayoutBytes(1, n, kScalar) + LayoutBytes(m, n, kScalar) : 0;
    SPIKESERVE_RETURN_IF_ERROR(TakeLayouts(n, has_y ? k : 0, m, kScalar, context));
    SPIKESERVE_RETURN_IF_ERROR(context.room.Take(of_grad_x + of_grad_y, 1));
    if (!has_y) {
      return spikeserve::KernelDotProductVjp<Scalar>(AsMatrix(x), kernel, AsMatrix(grad_output), grad_x,
                                                     context.executor);
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const auto y, decode(y_tensor, "y", "[K, M]"));
    SPIKESERVE_ASSIGN_OR_RETURN(auto grad_y, result_like(y, "grad_y", Response::kGradYFieldNumber));
    return spikeserve::KernelDotProductVjp<Scalar>(AsMatrix(x), AsMatrix(y), kernel, AsMatrix(grad_output), grad_x,
                                                   grad_y, context.executor);
  };
  SPIKESERVE_RETURN_IF_ERROR(WithScalar(compute, x_tensor, y_tensor, grad_tensor));
  return response;
}

}  // namespace spikeserve::server

#include <string_view>

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
  const bool has_y = request.has_tensor(Request::kYFieldNumber);
  const codec::WireTensor x = request.tensor(Request::kXFieldNumber);
  const codec::WireTensor y = has_y ? request.tensor(Request::kYFieldNumber) : x;
  Outgoing<Response> response(context.buffers);

  // `decode` gives an operand, which `view` shows as the compute library wants it; `layouts` makes room for what that
  // lays out of them.
  const auto multiply = [&]<typename Scalar>(const auto& decode, const auto& view,
                                             const auto& layouts) -> absl::Status {
    SPIKESERVE_ASSIGN_OR_RETURN(const auto x_array, decode(x, "x", "[N, M]"));
    const auto product = [&](const auto& y_array) -> absl::Status {
      SPIKESERVE_ASSIGN_OR_RETURN(auto ret, ResultMatrix<Scalar>(x_array.shape()[0], y_array.shape()[0], "ret", context,
                                                                 response.tensor(Response::kRetFieldNumber)));
      const int64_t y_rows = has_y ? y_array.shape()[0] : 0;
      SPIKESERVE_RETURN_IF_ERROR(layouts(x_array.shape()[0], y_rows, x_array.shape()[1]));
      return spikeserve::KernelDotProduct<Scalar>(view(x_array), view(y_array), kernel, ret, context.executor);
    };
    if (!has_y) return product(x_array);
    SPIKESERVE_ASSIGN_OR_RETURN(const auto y_array, decode(y, "y", "[K, M]"));
    return product(y_array);
  };
  const auto compute = [&]<typename Scalar>() -> absl::Status {
    if (codec::IsBinary(x.header) && codec::IsBinary(y.header)) {
      return multiply.template operator()<Scalar>(
          [&](const codec::WireTensor& tensor, std::string_view field, std::string_view needed) {
            return DecodeBitMatrix(tensor, field, needed, context);
          },
          [](const codec::BitArray& array) { return array.bits(); },
          [&](int64_t x_rows, int64_t y_rows, int64_t cols) {
            return TakeLayouts(x_rows, y_rows, BitWords(cols), sizeof(uint64_t), context);
          });
    }
    return multiply.template operator()<Scalar>(
        [&](const codec::WireTensor& tensor, std::string_view field, std::string_view needed) {
          return DecodeMatrix<Scalar>(tensor, field, codec::Accept::kNumber, needed, context);
        },
        [](const codec::Array<Scalar>& array) { return AsMatrix(array); },
        [&](int64_t x_rows, int64_t y_rows, int64_t cols) {
          return TakeLayouts(x_rows, y_rows, cols, sizeof(Scalar), context);
        });
  };
  SPIKESERVE_RETURN_IF_ERROR(WithScalar(compute, x, y));
  return response;
}

}  // namespace spikeserve::server

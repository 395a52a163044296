#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "codec/option_codec.h"
#include "handlers/operands.h"
#include "handlers/row_store.h"
#include "handlers/stream_handlers.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/kernel_operand.h"

namespace spikeserve::server {
namespace {

using Request = v1::StreamKernelDotProductRequest;
using Response = v1::StreamKernelDotProductResponse;

// Bytes of a response where the server decides on its rows.
constexpr int64_t kResponseBytes = int64_t{1} << 20;

class StreamKernelDotProduct : public OpenedStream<Request> {
 public:
  absl::Status Close(Context&) override {
    closed_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<codec::Envelope>> Next(Context& context) override {
    if (!closed_ || has_x_ || next_row_ == y_.rows()) return std::exchange(response_, std::nullopt);
    // x = y: the next rows of the result.
    const int64_t row_bytes = y_.rows() * static_cast<int64_t>(y_.is_double() ? sizeof(double) : sizeof(float));
    const int64_t rows = std::min(y_.rows() - next_row_, 1 + kResponseBytes / row_bytes);
    const int64_t begin = std::exchange(next_row_, next_row_ + rows);
    SPIKESERVE_RETURN_IF_ERROR(y_.is_double() ? SelfProduct<double>(begin, rows, context)
                                              : SelfProduct<float>(begin, rows, context));
    return std::exchange(response_, std::nullopt);
  }

  int64_t KeptBytes() const override {
    const auto& [floats, doubles] = operands_;
    return y_.ByteSize() + (bit_operand_ ? BitOperandBytes() : 0) + (floats ? OperandBytes<float>() : 0) +
           (doubles ? OperandBytes<double>() : 0);
  }

 protected:
  absl::Status Open(Incoming<Request> request, Context&) override {
    SPIKESERVE_ASSIGN_OR_RETURN(kernel_, codec::DecodeKernel(request->open().kernel()));
    return CheckKernel(kernel_);
  }

  absl::Status TakePiece(Incoming<Request> request, Context& context) override {
    if (request.has_tensor(Request::kYFieldNumber)) {
      if (has_x_) return InvalidField("y", "after the first piece of x", "all of y before x");
      SPIKESERVE_RETURN_IF_ERROR(y_.Append(request.tensor(Request::kYFieldNumber), "y", context));
    }
    if (!request.has_tensor(Request::kXFieldNumber)) return absl::OkStatus();
    has_x_ = true;
    const codec::WireTensor x = request.tensor(Request::kXFieldNumber);
    if (y_.has_bits() && codec::IsBinary(x.header)) return BitProduct(x, context);
    return y_.is_double() ? Product<double>(x, context)
                          : WithScalar([&]<typename Scalar>() { return Product<Scalar>(x, context); }, x);
  }

 private:
  // Room for the rows of the next response.
  template <typename Scalar>
  absl::StatusOr<Eigen::Map<RowMatrix<Scalar>>> Room(int64_t rows, Outgoing<Response>& response, Context& context) {
    return ResultMatrix<Scalar>(rows, y_.rows(), "ret", context, response.tensor(Response::kRetFieldNumber));
  }

  absl::Status BitProduct(const codec::WireTensor& x, Context& context) {
    SPIKESERVE_ASSIGN_OR_RETURN(const codec::BitArray array, DecodeBitMatrix(x, "x", "[n, M]", context));
    return BitMultiply(array.bits(), context);
  }

  template <typename Scalar>
  absl::Status Product(const codec::WireTensor& x, Context& context) {
    SPIKESERVE_ASSIGN_OR_RETURN(const auto rows,
                                DecodeMatrix<Scalar>(x, "x", codec::Accept::kNumber, "[n, M]", context));
    return Multiply<Scalar>(AsMatrix(rows), context);
  }

  template <typename Scalar>
  absl::Status SelfProduct(int64_t begin, int64_t rows, Context& context) {
    if (y_.has_bits()) {
      const BitMatrixView y = y_.bits();
      return BitMultiply(BitMatrixView(y.row(begin), rows, y.cols(), y.row_bytes()), context);
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const auto y, y_.Matrix<Scalar>("y", context));
    return Multiply<Scalar>(y.middleRows(begin, rows), context);
  }

  // What products keep of y.
  int64_t BitOperandBytes() const { return LayoutBytes(y_.rows(), BitWords(y_.cols()), sizeof(uint64_t)); }
  // Perhaps as bits as well.
  template <typename Scalar>
  int64_t OperandBytes() const {
    return LayoutBytes(y_.rows(), y_.cols(), sizeof(Scalar)) + BitOperandBytes();
  }

  static absl::Status TakeLayout(int64_t rows, int64_t depth, int64_t element_bytes, const Context& context) {
    return context.room.Take(LayoutBytes(rows, depth, element_bytes), 1);
  }

  absl::Status BitMultiply(const BitMatrixView& x, Context& context) {
    SPIKESERVE_RETURN_IF_ERROR(TakeLayout(x.rows(), BitWords(x.cols()), sizeof(uint64_t), context));
    if (!bit_operand_) {
      SPIKESERVE_RETURN_IF_ERROR(context.room.Take(BitOperandBytes(), 1));
      SPIKESERVE_ASSIGN_OR_RETURN(bit_operand_, KernelBitOperand::Create(y_.bits(), kernel_, context.executor));
    }
    return Respond<float>(x, *bit_operand_, context);
  }

  template <typename Scalar>
  absl::Status Multiply(MatrixView<Scalar> x, Context& context) {
    SPIKESERVE_RETURN_IF_ERROR(TakeLayout(x.rows(), x.cols(), sizeof(Scalar), context));
    auto& operand = std::get<std::optional<KernelOperand<Scalar>>>(operands_);
    if (!operand) {
      SPIKESERVE_RETURN_IF_ERROR(context.room.Take(OperandBytes<Scalar>(), 1));
      SPIKESERVE_ASSIGN_OR_RETURN(const auto y, y_.Matrix<Scalar>("y", context));
      SPIKESERVE_ASSIGN_OR_RETURN(operand, KernelOperand<Scalar>::Create(y, kernel_, context.executor));
    }
    return Respond<Scalar>(x, *operand, context);
  }

  template <typename Scalar, typename X, typename Operand>
  absl::Status Respond(const X& x, const Operand& operand, Context& context) {
    Outgoing<Response> response(context.buffers);
    SPIKESERVE_ASSIGN_OR_RETURN(auto ret, Room<Scalar>(x.rows(), response, context));
    SPIKESERVE_RETURN_IF_ERROR(operand.Multiply(x, MutableMatrixView<Scalar>(ret), context.executor));
    response_ = std::move(response).Release();
    return absl::OkStatus();
  }

  Kernel kernel_;
  RowStore y_;
  // y as products want it, made when the first of them is computed.
  std::optional<KernelBitOperand> bit_operand_;
  std::tuple<std::optional<KernelOperand<float>>, std::optional<KernelOperand<double>>> operands_;
  bool has_x_ = false;
  bool closed_ = false;
  // The next row of the result where x = y.
  int64_t next_row_ = 0;
  std::optional<codec::Envelope> response_;
};

}  // namespace

std::unique_ptr<StreamHandler> MakeStreamKernelDotProduct() { return std::make_unique<StreamKernelDotProduct>(); }

}  // namespace spikeserve::server

#include <memory>
#include <optional>
#include <utility>

#include "codec/option_codec.h"
#include "piecewise.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/streams.pb.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

const TensorView& OperandY(const KernelDotProductArgs& args) { return args.y ? *args.y : args.x; }

DataType ResultType(const KernelDotProductArgs& args) {
  const bool wide = args.x.dtype() == DataType::kFloat64 || OperandY(args).dtype() == DataType::kFloat64;
  return wide ? DataType::kFloat64 : DataType::kFloat32;
}

Shape ResultShape(const KernelDotProductArgs& args) { return {args.x.shape()[0], OperandY(args).shape()[0]}; }

// First y goes, then x, each piece of which is answered with its rows of the result. Where y is absent x goes in its
// place, and the result comes in the end.
class Exchange : public FunctionExchange<KernelDotProductArgs, v1::StreamKernelDotProductRequest,
                                         v1::StreamKernelDotProductResponse> {
 public:
  static int64_t MessageBytes(const KernelDotProductArgs& args) {
    if (args.x.shape().size() != 2 || OperandY(args).shape().size() != 2) return 0;
    return args.x.byte_size() + (args.y ? args.y->byte_size() : 0) +
           ByteCount(ResultType(args), ResultShape(args)).value_or(0);
  }

  Exchange(const KernelDotProductArgs& args, BufferPool& buffers, std::shared_ptr<const void> lease)
      : FunctionExchange(args, buffers, std::move(lease)),
        y_pieces_(OperandY(args), /*row_dimensions=*/1),
        x_pieces_(args.x, /*row_dimensions=*/1,
                  /*other_bytes_per_row=*/ByteCount(ResultType(args), {OperandY(args).shape()[0]}).value_or(0)),
        result_(ResultType(args), ResultShape(args)) {}

  void Begin() override {
    y_pieces_.Begin();
    x_pieces_.Begin();
    result_.Begin();
    FunctionExchange::Begin();
  }

  std::optional<codec::Envelope> Send() override {
    RequestBuilder<Request> request = NewRequest();
    if (v1::KernelDotProductRequest* open = Open(request)) {
      codec::EncodeKernel(args().kernel, open->mutable_kernel());
    }
    if (const std::optional<TensorView> y = y_pieces_.Next()) {
      request.Put(Request::kYFieldNumber, *y);
    } else if (const std::optional<TensorView> x = args().y ? x_pieces_.Next() : std::nullopt) {
      request.Put(Request::kXFieldNumber, *x);
    } else {
      return std::nullopt;
    }
    return std::move(request).Release();
  }

  absl::Status Receive(codec::Envelope response) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor ret,
                                ResponseReader<Response>(response).Take(Response::kRetFieldNumber, "ret"));
    return result_.Add(ret);
  }

  absl::StatusOr<Tensor> Result() { return result_.Take(); }

 private:
  RowPieces y_pieces_;
  RowPieces x_pieces_;
  RowCollector result_;
};

}  // namespace

template <>
struct RpcTraits<KernelDotProductArgs> {
  using Request = v1::KernelDotProductRequest;
  using Response = v1::KernelDotProductResponse;
  using Exchange = spikeserve::Exchange;

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

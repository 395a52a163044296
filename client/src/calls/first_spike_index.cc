#include <memory>
#include <optional>
#include <utility>

#include "piecewise.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/streams.pb.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

void EncodeOptions(const FirstSpikeIndexArgs& args, v1::FirstSpikeIndexRequest* request) {
  request->set_mask_dtype(codec::ToWire(args.mask_dtype));
  request->set_index_output(args.index_output);
}

DataType ResultType(const FirstSpikeIndexArgs& args) { return args.index_output ? DataType::kInt32 : args.mask_dtype; }

Shape ResultShape(const FirstSpikeIndexArgs& args) {
  Shape shape = args.spikes.shape();
  if (args.index_output && !shape.empty()) shape.pop_back();
  return shape;
}

// Each piece is some spike trains, and is answered with their result.
class Exchange : public FunctionExchange<FirstSpikeIndexArgs, v1::StreamFirstSpikeIndexRequest,
                                         v1::StreamFirstSpikeIndexResponse> {
 public:
  static int64_t MessageBytes(const FirstSpikeIndexArgs& args) {
    if (args.spikes.shape().empty()) return 0;
    return args.spikes.byte_size() + ByteCount(ResultType(args), ResultShape(args)).value_or(0);
  }

  Exchange(const FirstSpikeIndexArgs& args, BufferPool& buffers, std::shared_ptr<const void> lease)
      : FunctionExchange(args, buffers, std::move(lease)),
        pieces_(args.spikes, args.spikes.shape().size() - 1, /*other_bytes_per_row=*/args.spikes.shape().back()),
        result_(ResultType(args), ResultShape(args)) {}

  void Begin() override {
    pieces_.Begin();
    result_.Begin();
    FunctionExchange::Begin();
  }

  std::optional<codec::Envelope> Send() override {
    const std::optional<TensorView> piece = pieces_.Next();
    if (!piece) return std::nullopt;
    RequestBuilder<Request> request = NewRequest();
    if (v1::FirstSpikeIndexRequest* open = Open(request)) EncodeOptions(args(), open);
    request.Put(Request::kSpikesFieldNumber, *piece);
    return std::move(request).Release();
  }

  absl::Status Receive(codec::Envelope response) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor index,
                                ResponseReader<Response>(response).Take(Response::kIndexFieldNumber, "index"));
    return result_.Add(index);
  }

  absl::StatusOr<Tensor> Result() { return result_.Take(); }

 private:
  RowPieces pieces_;
  RowCollector result_;
};

}  // namespace

template <>
struct RpcTraits<FirstSpikeIndexArgs> {
  using Request = v1::FirstSpikeIndexRequest;
  using Response = v1::FirstSpikeIndexResponse;
  using Exchange = spikeserve::Exchange;

  static void Encode(const FirstSpikeIndexArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kSpikesFieldNumber, args.spikes);
    EncodeOptions(args, &*request);
  }

  static absl::StatusOr<Tensor> Decode(ResponseReader<Response>& response) {
    return response.Take(Response::kIndexFieldNumber, "index");
  }
};

SPIKESERVE_INSTANTIATE_CALL(FirstSpikeIndexArgs);

}  // namespace spikeserve

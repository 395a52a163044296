#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "codec/option_codec.h"
#include "piecewise.h"
#include "rpc_traits.h"
#include "spikeserve/compute/step_mask.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/streams.pb.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

void EncodeOptions(const SpikeClusterArgs& args, v1::SpikeClusterRequest* request) {
  request->set_t_in(args.options.t_in);
  request->set_rule(codec::EncodeClusterRule(args.options.rule));
  if (args.options.v_min) request->set_v_min(*args.options.v_min);
  request->set_mask_dtype(codec::ToWire(args.mask_dtype));
  request->set_index_output(args.index_output);
}

template <typename Response>
absl::StatusOr<SpikeClusterResult> TakeResult(ResponseReader<Response> response) {
  SpikeClusterResult result;
  SPIKESERVE_ASSIGN_OR_RETURN(result.n_o, response.Take(Response::kNOFieldNumber, "n_o"));
  SPIKESERVE_ASSIGN_OR_RETURN(result.k_positive, response.Take(Response::kKPositiveFieldNumber, "k_positive"));
  SPIKESERVE_ASSIGN_OR_RETURN(result.k_negative, response.Take(Response::kKNegativeFieldNumber, "k_negative"));
  return result;
}

// Whether the tensor has a step in [-1, steps) for each of so many neurons.
bool AreSteps(const Tensor& tensor, int64_t neurons, int64_t steps) {
  if (tensor.dtype() != DataType::kInt32 || tensor.size() != neurons) return false;
  const absl::Span<const int32_t> values = tensor.values<int32_t>();
  return std::all_of(values.begin(), values.end(), [steps](int32_t step) { return step >= -1 && step < steps; });
}

// The mask of the given steps.
Tensor ToMask(const Tensor& steps, DataType mask_dtype, const Shape& shape) {
  Tensor mask(mask_dtype, shape);
  const auto bytes = absl::MakeSpan(static_cast<uint8_t*>(mask.data()), static_cast<size_t>(mask.byte_size()));
  if (mask_dtype == DataType::kBit) {
    WriteStepBitMask(steps.values<int32_t>(), shape[0], bytes);
  } else {
    WriteStepMask(steps.values<int32_t>(), shape[0], bytes);
  }
  return mask;
}

// The voltages go some steps at a time; the answer is steps, of which the masks are made here.
class Exchange
    : public FunctionExchange<SpikeClusterArgs, v1::StreamSpikeClusterRequest, v1::StreamSpikeClusterResponse> {
 public:
  // Its results are small, and a piece is looked at as fast as it comes.
  static constexpr int64_t kDivisor = 8;

  static int64_t MessageBytes(const SpikeClusterArgs& args) {
    if (args.v.shape().size() != 2) return 0;
    const int64_t mask_bytes = args.index_output ? 0 : ByteCount(args.mask_dtype, args.v.shape()).value_or(0);
    return args.v.byte_size() + 2 * mask_bytes;
  }

  Exchange(const SpikeClusterArgs& args, BufferPool& buffers, std::shared_ptr<const void> lease)
      : FunctionExchange(args, buffers, std::move(lease)), pieces_(args.v, /*row_dimensions=*/1) {}

  void Begin() override {
    pieces_.Begin();
    FunctionExchange::Begin();
  }

  std::optional<codec::Envelope> Send() override {
    const std::optional<TensorView> piece = pieces_.Next();
    if (!piece) return std::nullopt;
    RequestBuilder<Request> request = NewRequest();
    if (v1::SpikeClusterRequest* open = Open(request)) {
      EncodeOptions(args(), open);
      codec::EncodeTensor(args().v_threshold, open->mutable_v_threshold());
    }
    request.Put(Request::kVFieldNumber, *piece);
    return std::move(request).Release();
  }

  absl::Status Receive(codec::Envelope response) override {
    SPIKESERVE_ASSIGN_OR_RETURN(steps_, TakeResult(ResponseReader<Response>(response)));
    return absl::OkStatus();
  }

  absl::StatusOr<SpikeClusterResult> Result() {
    const int64_t steps = args().v.shape()[0], neurons = args().v.shape()[1];
    if (!steps_ || !AreSteps(steps_->k_positive, neurons, steps) || !AreSteps(steps_->k_negative, neurons, steps)) {
      return UnexpectedResponse();
    }
    if (!args().index_output) {
      for (Tensor* steps : {&steps_->k_positive, &steps_->k_negative}) {
        *steps = ToMask(*steps, args().mask_dtype, args().v.shape());
      }
    }
    return *std::move(steps_);
  }

 private:
  RowPieces pieces_;
  std::optional<SpikeClusterResult> steps_;
};

}  // namespace

template <>
struct RpcTraits<SpikeClusterArgs> {
  using Request = v1::SpikeClusterRequest;
  using Response = v1::SpikeClusterResponse;
  using Exchange = spikeserve::Exchange;

  static void Encode(const SpikeClusterArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kVFieldNumber, args.v);
    request.Put(Request::kVThresholdFieldNumber, args.v_threshold);
    EncodeOptions(args, &*request);
  }

  static absl::StatusOr<SpikeClusterResult> Decode(ResponseReader<Response>& response) { return TakeResult(response); }
};

SPIKESERVE_INSTANTIATE_CALL(SpikeClusterArgs);

}  // namespace spikeserve

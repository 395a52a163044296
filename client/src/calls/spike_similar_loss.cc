#include <algorithm>
#include <cstddef>
#include <cstring>
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

void EncodeOptions(const SpikeSimilarLossArgs& args, v1::SpikeSimilarLossRequest* request) {
  codec::EncodeKernel(args.kernel, request->mutable_kernel());
  request->set_loss_type(codec::EncodeLossType(args.loss_type));
  request->set_compute_gradient(args.compute_gradient);
}

DataType GradientType(const SpikeSimilarLossArgs& args) {
  return args.spikes.dtype() == DataType::kFloat64 ? DataType::kFloat64 : DataType::kFloat32;
}

// The features go some at a time: of [N, A, ...], some indices of the second dimension. For the gradient they go twice.
class Exchange : public FunctionExchange<SpikeSimilarLossArgs, v1::StreamSpikeSimilarLossRequest,
                                         v1::StreamSpikeSimilarLossResponse> {
 public:
  static int64_t MessageBytes(const SpikeSimilarLossArgs& args) {
    if (args.spikes.shape().size() < 2 || args.spikes.size() == 0) return 0;
    return args.spikes.byte_size() +
           (args.compute_gradient ? ByteCount(GradientType(args), args.spikes.shape()).value_or(0) : 0);
  }

  Exchange(const SpikeSimilarLossArgs& args, BufferPool& buffers, std::shared_ptr<const void> lease)
      : FunctionExchange(args, buffers, std::move(lease)) {
    if (args.compute_gradient) gradient_.emplace(GradientType(args), args.spikes.shape());
    // Of bits along the second dimension, whole bytes.
    const int64_t unit = args.spikes.dtype() == DataType::kBit && args.spikes.shape().size() == 2 ? 8 : 1;
    const int64_t sample_bytes = std::max<int64_t>(ByteCountOf(args.spikes.dtype(), unit),
                                                   gradient_ ? ByteCountOf(GradientType(args), unit) : 0);
    step_ = unit * std::max<int64_t>(1, kPieceBytes / std::max<int64_t>(1, samples() * sample_bytes));
  }

  void Begin() override {
    FunctionExchange::Begin();
    next_ = 0;
    received_ = 0;
    loss_.reset();
  }

  std::optional<codec::Envelope> Send() override {
    const int64_t passes = args().compute_gradient ? 2 : 1;
    if (next_ >= passes * length()) return std::nullopt;
    RequestBuilder<Request> request = NewRequest();
    if (v1::SpikeSimilarLossRequest* open = Open(request)) {
      EncodeOptions(args(), open);
      codec::EncodeTensor(args().labels, open->mutable_labels());
    }
    request->set_again(next_ >= length());
    const int64_t begin = next_ % length();
    const int64_t count = std::min(step_, length() - begin);
    next_ += count;
    CopyColumns(begin, count, request.Room(Request::kSpikesFieldNumber, args().spikes.dtype(), PieceShape(count)));
    return std::move(request).Release();
  }

  absl::Status Receive(codec::Envelope envelope) override {
    ResponseReader<Response> response(envelope);
    if (response->has_loss()) {
      loss_ = response->loss();
      return absl::OkStatus();
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor piece, response.Take(Response::kGradSpikesFieldNumber, "grad_spikes"));
    return gradient_ ? Put(piece) : UnexpectedResponse();
  }

  absl::StatusOr<SpikeSimilarLossResult> Result() {
    if (!loss_ || (gradient_ && received_ != length())) return UnexpectedResponse();
    return SpikeSimilarLossResult{*loss_, std::move(gradient_)};
  }

 private:
  int64_t samples() const { return args().spikes.shape()[0]; }
  int64_t length() const { return args().spikes.shape()[1]; }

  // A sample's shape, with `count` of the second dimension.
  Shape SampleShape(int64_t count) const {
    Shape shape(args().spikes.shape().begin() + 1, args().spikes.shape().end());
    shape[0] = count;
    return shape;
  }
  int64_t ByteCountOf(DataType dtype, int64_t count) const { return ByteCount(dtype, SampleShape(count)).value_or(0); }

  Shape PieceShape(int64_t count) const {
    Shape shape = SampleShape(count);
    shape.insert(shape.begin(), samples());
    return shape;
  }

  // Copies `count` indices of the second dimension between a tensor that has all and one that has only them.
  template <typename Copy>
  void ForEachSample(DataType dtype, int64_t begin, int64_t count, const Copy& copy) const {
    const int64_t whole = ByteCountOf(dtype, length());
    const int64_t offset = ByteCountOf(dtype, begin);
    const int64_t bytes = ByteCountOf(dtype, count);
    for (int64_t n = 0; n < samples(); ++n) copy(n * whole + offset, n * bytes, static_cast<size_t>(bytes));
  }

  void CopyColumns(int64_t begin, int64_t count, uint8_t* to) const {
    const auto* from = static_cast<const uint8_t*>(args().spikes.data());
    ForEachSample(args().spikes.dtype(), begin, count, [&](int64_t in_whole, int64_t in_piece, size_t bytes) {
      std::memcpy(to + in_piece, from + in_whole, bytes);
    });
  }

  absl::Status Put(const Tensor& piece) {
    const int64_t count = std::min(step_, length() - received_);
    if (piece.dtype() != gradient_->dtype() || piece.shape() != PieceShape(count)) return UnexpectedResponse();
    const auto* from = static_cast<const std::byte*>(piece.data());
    auto* to = static_cast<std::byte*>(gradient_->data());
    ForEachSample(piece.dtype(), received_, count, [&](int64_t in_whole, int64_t in_piece, size_t bytes) {
      std::memcpy(to + in_whole, from + in_piece, bytes);
    });
    received_ += count;
    return absl::OkStatus();
  }

  // Along the second dimension: the length of a piece, how much of both passes was sent, and how much gradient came.
  int64_t step_;
  int64_t next_ = 0;
  int64_t received_ = 0;
  std::optional<float> loss_;
  std::optional<Tensor> gradient_;
};

}  // namespace

template <>
struct RpcTraits<SpikeSimilarLossArgs> {
  using Request = v1::SpikeSimilarLossRequest;
  using Response = v1::SpikeSimilarLossResponse;
  using Exchange = spikeserve::Exchange;

  static void Encode(const SpikeSimilarLossArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kSpikesFieldNumber, args.spikes);
    request.Put(Request::kLabelsFieldNumber, args.labels);
    EncodeOptions(args, &*request);
  }

  static absl::StatusOr<SpikeSimilarLossResult> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(auto grad_spikes,
                                response.TakeOptional(Response::kGradSpikesFieldNumber, "grad_spikes"));
    return SpikeSimilarLossResult{response->loss(), std::move(grad_spikes)};
  }
};

SPIKESERVE_INSTANTIATE_CALL(SpikeSimilarLossArgs);

}  // namespace spikeserve

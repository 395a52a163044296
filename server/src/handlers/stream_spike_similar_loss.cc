#include <memory>
#include <optional>
#include <utility>

#include "codec/option_codec.h"
#include "handlers/operands.h"
#include "handlers/pair_limit.h"
#include "handlers/stream_handlers.h"
#include "spikeserve/compute/spike_similar_loss_scan.h"

namespace spikeserve::server {
namespace {

using Request = v1::StreamSpikeSimilarLossRequest;
using Response = v1::StreamSpikeSimilarLossResponse;

class StreamSpikeSimilarLoss : public OpenedStream<Request> {
 public:
  absl::Status Close(Context& context) override { return loss_given_ ? absl::OkStatus() : GiveLoss(context); }

  absl::StatusOr<std::optional<codec::Envelope>> Next(Context&) override {
    if (loss_response_) return std::exchange(loss_response_, std::nullopt);
    return std::exchange(gradient_response_, std::nullopt);
  }

  int64_t KeptBytes() const override {
    return scan_ ? SpikeSimilarLossScan::ByteSize(scan_->samples(), scan_->classes()) : 0;
  }

 protected:
  absl::Status Open(Incoming<Request> request, Context& context) override {
    const v1::SpikeSimilarLossRequest& open = request->open();
    SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, codec::DecodeKernel(open.kernel()));
    SPIKESERVE_ASSIGN_OR_RETURN(const LossType loss_type, codec::DecodeLossType(open.loss_type()));
    SPIKESERVE_ASSIGN_OR_RETURN(
        auto labels, DecodeMatrix<uint8_t>(open.labels(), "open.labels", codec::Accept::kBinary, "[N, C]", context));
    const int64_t samples = labels.shape()[0];
    SPIKESERVE_RETURN_IF_ERROR(CheckPairs(samples, "open.labels", context));
    if (const int64_t bytes = SpikeSimilarLossScan::ByteSize(samples, labels.shape()[1]);
        bytes > context.limits.max_decoded_bytes) {
      return OverLimit("open.labels", bytes, "bytes for the pairs of samples", context.limits.max_decoded_bytes,
                       "--max-decoded-bytes");
    } else {
      SPIKESERVE_RETURN_IF_ERROR(context.room.Take(bytes, 1));
    }
    SPIKESERVE_ASSIGN_OR_RETURN(SpikeSimilarLossScan scan,
                                SpikeSimilarLossScan::Create(AsMatrix(labels), kernel, loss_type, context.executor));
    scan_.emplace(std::move(scan));
    compute_gradient_ = open.compute_gradient();
    return absl::OkStatus();
  }

  absl::Status TakePiece(Incoming<Request> request, Context& context) override {
    if (request->again() && !compute_gradient_) {
      return InvalidField("again", "true", "compute_gradient in the first message");
    }
    if (request->again() && !loss_given_) SPIKESERVE_RETURN_IF_ERROR(GiveLoss(context));
    if (!request.has_tensor(Request::kSpikesFieldNumber)) return absl::OkStatus();
    const codec::WireTensor spikes = request.tensor(Request::kSpikesFieldNumber);
    if (request->again()) {
      return WithScalar([&]<typename Scalar>() { return GiveGradient<Scalar>(spikes, context); }, spikes);
    }
    if (loss_given_) return InvalidField("again", "false after it was true", "true in all further messages");
    if (codec::IsBinary(spikes.header)) {
      SPIKESERVE_ASSIGN_OR_RETURN(const codec::BitArray bits,
                                  codec::DecodeBits(spikes, "spikes", /*row_dimensions=*/1, "[N, m]", context.room));
      const BitMatrixView view = bits.bits();
      SPIKESERVE_RETURN_IF_ERROR(TakeLayouts(view.rows(), 0, BitWords(view.cols()), sizeof(uint64_t), context));
      return scan_->Add(view, context.executor);
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const auto features, DecodeFeatures(spikes, context));
    const auto rows = AsRows(features);
    SPIKESERVE_RETURN_IF_ERROR(TakeLayouts(rows.rows(), 0, rows.cols(), sizeof(double), context));
    return scan_->Add(rows, context.executor);
  }

 private:
  static absl::StatusOr<codec::Array<double>> DecodeFeatures(const codec::WireTensor& spikes, Context& context) {
    SPIKESERVE_ASSIGN_OR_RETURN(auto array,
                                codec::Decode<double>(spikes, "spikes", codec::Accept::kNumber, context.room));
    if (array.shape().empty()) return codec::CheckRank(array.shape(), 2, "spikes", "[N, m]");
    return array;
  }

  // All dimensions but the first flattened.
  static Eigen::Map<const RowMatrix<double>> AsRows(const codec::Array<double>& array) {
    return array.Matrix(array.shape()[0], ElementCount(absl::MakeConstSpan(array.shape()).subspan(1)).value_or(0));
  }

  absl::Status GiveLoss(Context& context) {
    if (!scan_) return InvalidField("open", "absent", "it in the first message");
    SPIKESERVE_ASSIGN_OR_RETURN(const double loss, scan_->Finish(context.executor));
    loss_given_ = true;
    Outgoing<Response> response(context.buffers);
    response->set_loss(static_cast<float>(loss));
    loss_response_ = std::move(response).Release();
    return absl::OkStatus();
  }

  template <typename Scalar>
  absl::Status GiveGradient(const codec::WireTensor& spikes, Context& context) {
    SPIKESERVE_ASSIGN_OR_RETURN(const auto features, DecodeFeatures(spikes, context));
    const auto rows = AsRows(features);
    Outgoing<Response> response(context.buffers);
    SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * room, ResultRoom(DataTypeOf<Scalar>::value, features.shape(), "grad_spikes",
                                                           context, response.tensor(Response::kGradSpikesFieldNumber)));
    // The gradient in double, and the features' columns.
    SPIKESERVE_RETURN_IF_ERROR(context.room.Take(rows.size(), 2 * sizeof(double)));
    SPIKESERVE_RETURN_IF_ERROR(TakeLayouts(rows.rows(), rows.cols(), rows.rows(), sizeof(double), context));
    RowMatrix<double> gradient(rows.rows(), rows.cols());
    SPIKESERVE_RETURN_IF_ERROR(scan_->Gradient(rows, gradient, context.executor));
    Scalar* const out = reinterpret_cast<Scalar*>(room);
    SPIKESERVE_RETURN_IF_ERROR(codec::InPieces(gradient.size(), context.room, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = static_cast<Scalar>(gradient.data()[i]);
      return absl::OkStatus();
    }));
    gradient_response_ = std::move(response).Release();
    return absl::OkStatus();
  }

  std::optional<SpikeSimilarLossScan> scan_;
  bool compute_gradient_ = false;
  bool loss_given_ = false;
  std::optional<codec::Envelope> loss_response_;
  std::optional<codec::Envelope> gradient_response_;
};

}  // namespace

std::unique_ptr<StreamHandler> MakeStreamSpikeSimilarLoss() { return std::make_unique<StreamSpikeSimilarLoss>(); }

}  // namespace spikeserve::server

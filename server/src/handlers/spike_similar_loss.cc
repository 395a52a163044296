#include "spikeserve/compute/spike_similar_loss.h"

#include <optional>

#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"
#include "handlers/pair_limit.h"

namespace spikeserve::server {
namespace {

using Request = v1::SpikeSimilarLossRequest;
using Response = v1::SpikeSimilarLossResponse;

}  // namespace

int64_t SpikeSimilarLossWork(Incoming<Request> request) {
  const codec::WireTensor spikes = request.tensor(Request::kSpikesFieldNumber);
  // The labels are compared pair by pair, too.
  return Product({Elements(spikes), Rows(spikes)});
}

absl::StatusOr<Outgoing<Response>> SpikeSimilarLoss(Incoming<Request> request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, codec::DecodeKernel(request->kernel()));
  SPIKESERVE_ASSIGN_OR_RETURN(const LossType loss_type, codec::DecodeLossType(request->loss_type()));
  SPIKESERVE_ASSIGN_OR_RETURN(auto labels, DecodeMatrix<uint8_t>(request.tensor(Request::kLabelsFieldNumber), "labels",
                                                                 codec::Accept::kBinary, "[N, C]", context));

  const codec::WireTensor spikes_tensor = request.tensor(Request::kSpikesFieldNumber);
  Outgoing<Response> response(context.buffers);
  // `spikes` is what the compute library takes of the samples.
  const auto evaluate = [&]<typename Scalar>(const auto& spikes, const Shape& shape,
                                             const auto& take_layouts) -> absl::Status {
    SPIKESERVE_RETURN_IF_ERROR(CheckPairs(spikes.rows(), "spikes", context));
    SPIKESERVE_RETURN_IF_ERROR(take_layouts(spikes.rows(), spikes.cols()));
    std::optional<MutableMatrixView<Scalar>> gradient;
    if (request->compute_gradient()) {
      SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * room, ResultRoom(DataTypeOf<Scalar>::value, shape, "grad_spikes", context,
                                                             response.tensor(Response::kGradSpikesFieldNumber)));
      gradient.emplace(Eigen::Map<RowMatrix<Scalar>>(reinterpret_cast<Scalar*>(room), spikes.rows(), spikes.cols()));
    }
    SPIKESERVE_ASSIGN_OR_RETURN(
        const double loss,
        spikeserve::SpikeSimilarLoss<Scalar>(spikes, AsMatrix(labels), kernel, loss_type, gradient, context.executor));
    response->set_loss(static_cast<float>(loss));
    return absl::OkStatus();
  };
  const auto compute = [&]<typename Scalar>() -> absl::Status {
    if (codec::IsBinary(spikes_tensor.header)) {
      SPIKESERVE_ASSIGN_OR_RETURN(const auto spikes, codec::DecodeBits(spikes_tensor, "spikes", /*row_dimensions=*/1,
                                                                       "[N, ...]", context.room));
      return evaluate.template operator()<Scalar>(
          spikes.bits(), spikes.shape(), [&](int64_t samples, int64_t features) -> absl::Status {
            if (request->compute_gradient()) {
              // Columns, as words of so many samples each.
              constexpr int64_t kSamples = 36;
              const int64_t words = samples / kSamples + (samples % kSamples != 0);
              SPIKESERVE_RETURN_IF_ERROR(context.room.Take(Product({features, words}), sizeof(uint64_t)));
            }
            return TakeLayouts(samples, 0, BitWords(features), sizeof(uint64_t), context);
          });
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const auto spikes,
                                codec::Decode<Scalar>(spikes_tensor, "spikes", codec::Accept::kNumber, context.room));
    if (spikes.shape().empty()) return codec::CheckRank(spikes.shape(), 1, "spikes", "[N, ...]");
    const int64_t features = ElementCount(absl::MakeConstSpan(spikes.shape()).subspan(1)).value_or(0);
    return evaluate.template operator()<Scalar>(
        MatrixView<Scalar>(spikes.Matrix(spikes.shape()[0], features)), spikes.shape(),
        [&](int64_t samples, int64_t depth) -> absl::Status {
          if (request->compute_gradient()) {
            SPIKESERVE_RETURN_IF_ERROR(context.room.Take(LayoutBytes(depth, samples, sizeof(Scalar)), 1));
          }
          return TakeLayouts(samples, 0, depth, sizeof(Scalar), context);
        });
  };
  SPIKESERVE_RETURN_IF_ERROR(WithScalar(compute, spikes_tensor));
  return response;
}

}  // namespace spikeserve::server

#include "spikeserve/compute/spike_similar_loss.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"
#include "runtime/limits.h"
#include "spikeserve/compute/field_error.h"

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

  Outgoing<Response> response(context.buffers);
  const auto compute = [&]<typename Scalar>() -> absl::Status {
    SPIKESERVE_ASSIGN_OR_RETURN(auto spikes,
                                codec::Decode<Scalar>(request.tensor(Request::kSpikesFieldNumber), "spikes",
                                                      codec::Accept::kNumber, context.limits.max_decoded_bytes));
    if (spikes.shape().empty()) return codec::CheckRank(spikes.shape(), 1, "spikes", "[N, ...]");
    const int64_t samples = spikes.shape()[0];
    const int64_t features = ElementCount(absl::MakeConstSpan(spikes.shape()).subspan(1)).value_or(0);
    if (samples > 0 && samples > context.limits.max_pairs / samples) {
      return FieldError(
          absl::StatusCode::kResourceExhausted, "spikes", absl::StrCat(samples, " samples"),
          absl::StrCat("at most ", context.limits.max_pairs, " pairs of samples (the server's --max-pairs)"));
    }
    std::optional<MutableMatrixView<Scalar>> gradient;
    if (request->compute_gradient()) {
      SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes,
                                  ResultRoom(DataTypeOf<Scalar>::value, spikes.shape(), "grad_spikes", context,
                                             response.tensor(Response::kGradSpikesFieldNumber)));
      gradient.emplace(Eigen::Map<RowMatrix<Scalar>>(reinterpret_cast<Scalar*>(bytes), samples, features));
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const double loss,
                                spikeserve::SpikeSimilarLoss<Scalar>(spikes.Matrix(samples, features), AsMatrix(labels),
                                                                     kernel, loss_type, gradient, context.executor));
    response->set_loss(static_cast<float>(loss));
    return absl::OkStatus();
  };
  SPIKESERVE_RETURN_IF_ERROR(WithScalar(compute, request.tensor(Request::kSpikesFieldNumber)));
  return response;
}

}  // namespace spikeserve::server

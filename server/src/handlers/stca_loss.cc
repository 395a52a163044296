#include "spikeserve/compute/stca_loss.h"

#include <optional>

#include "handlers/handlers.h"
#include "handlers/operands.h"

namespace spikeserve::server {
namespace {

using Request = v1::StcaLossRequest;
using Response = v1::StcaLossResponse;

}  // namespace

int64_t StcaLossWork(Incoming<Request> request) { return Elements(request.tensor(Request::kVFieldNumber)); }

absl::StatusOr<Outgoing<Response>> StcaLoss(Incoming<Request> request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(auto n_d, DecodePerNeuron<double>(request.tensor(Request::kNDFieldNumber), "n_d",
                                                                codec::Accept::kNumber, context));
  Outgoing<Response> response(context.buffers);
  const auto compute = [&]<typename Scalar>() -> absl::StatusOr<StcaLossResult> {
    SPIKESERVE_ASSIGN_OR_RETURN(auto v, DecodeMatrix<Scalar>(request.tensor(Request::kVFieldNumber), "v",
                                                             codec::Accept::kFloat, "[T, N]", context));
    SPIKESERVE_ASSIGN_OR_RETURN(auto v_threshold,
                                DecodePerNeuron<Scalar>(request.tensor(Request::kVThresholdFieldNumber), "v_threshold",
                                                        codec::Accept::kNumber, context));
    SPIKESERVE_RETURN_IF_ERROR(context.room.Take(v.shape()[1], kClusterBytes));
    std::optional<MutableMatrixView<Scalar>> gradient;
    if (request->compute_gradient()) {
      SPIKESERVE_ASSIGN_OR_RETURN(auto room, ResultMatrix<Scalar>(v.shape()[0], v.shape()[1], "grad_v", context,
                                                                  response.tensor(Response::kGradVFieldNumber)));
      gradient.emplace(room);
    }
    return spikeserve::StcaLoss<Scalar>(AsMatrix(v), v_threshold.values(), request->t_in(), n_d.values(), gradient,
                                        context.executor);
  };
  SPIKESERVE_ASSIGN_OR_RETURN(const StcaLossResult result, WithScalar(compute, request.tensor(Request::kVFieldNumber)));
  response->set_loss(static_cast<float>(result.loss));
  SPIKESERVE_RETURN_IF_ERROR(EncodeResult(TensorView(absl::MakeConstSpan(result.n_o)), "n_o", context,
                                          response.tensor(Response::kNOFieldNumber)));
  return response;
}

}  // namespace spikeserve::server

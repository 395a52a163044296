#include "spikeserve/compute/stca_loss.h"

#include <optional>

#include "handlers/handlers.h"
#include "handlers/operands.h"

namespace spikeserve::server {

absl::StatusOr<v1::StcaLossResponse> StcaLoss(const v1::StcaLossRequest& request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(auto n_d, DecodePerNeuron<double>(request.n_d(), "n_d", codec::Accept::kNumber, context));
  v1::StcaLossResponse response;
  const auto compute = [&]<typename Scalar>() -> absl::StatusOr<StcaLossResult> {
    SPIKESERVE_ASSIGN_OR_RETURN(auto v,
                                DecodeMatrix<Scalar>(request.v(), "v", codec::Accept::kFloat, "[T, N]", context));
    SPIKESERVE_ASSIGN_OR_RETURN(auto v_threshold, DecodePerNeuron<Scalar>(request.v_threshold(), "v_threshold",
                                                                          codec::Accept::kNumber, context));
    std::optional<MutableMatrixView<Scalar>> gradient;
    if (request.compute_gradient()) {
      SPIKESERVE_ASSIGN_OR_RETURN(
          auto room, ResultMatrix<Scalar>(v.shape()[0], v.shape()[1], "grad_v", context, response.mutable_grad_v()));
      gradient.emplace(room);
    }
    return spikeserve::StcaLoss<Scalar>(AsMatrix(v), v_threshold.values(), request.t_in(), n_d.values(), gradient,
                                        context.executor);
  };
  SPIKESERVE_ASSIGN_OR_RETURN(const StcaLossResult result, WithScalar(compute, request.v()));
  response.set_loss(static_cast<float>(result.loss));
  codec::EncodeTensor(result.n_o, response.mutable_n_o());
  return response;
}

}  // namespace spikeserve::server

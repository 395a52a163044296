// STCA's loss on the number of spike clusters.

#ifndef SPIKESERVE_COMPUTE_STCA_LOSS_H_
#define SPIKESERVE_COMPUTE_STCA_LOSS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

struct StcaLossResult {
  // The sum over the neurons of v[k_negative] - 1 where n_o > n_d, and of 1 - v[k_positive] where n_o < n_d; a neuron
  // without such a step adds 0.
  double loss;
  // The number of clusters of each neuron.
  std::vector<float> n_o;
};

// v, v_threshold and t_in as for SpikeCluster (with ClusterRule::kReference); n_d, the wanted numbers of clusters, one
// element or N. Where `grad_v` is given, of the shape of v, it receives the loss's gradient with respect to v: +1 and
// -1 at those steps, 0 elsewhere. grad_v may not overlap v. Errors: those of SpikeCluster; INVALID_ARGUMENT for n_d of
// another length, or not finite.
template <typename Scalar>
absl::StatusOr<StcaLossResult> StcaLoss(MatrixView<Scalar> v, absl::Span<const Scalar> v_threshold, int64_t t_in,
                                        absl::Span<const double> n_d,
                                        std::optional<MutableMatrixView<Scalar>> grad_v = std::nullopt,
                                        Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_STCA_LOSS_H_

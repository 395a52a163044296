#include "spikeserve/compute/stca_loss.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/spike_cluster.h"

namespace spikeserve {

template <typename Scalar>
absl::StatusOr<StcaLossResult> StcaLoss(MatrixView<Scalar> v, absl::Span<const Scalar> v_threshold, int64_t t_in,
                                        absl::Span<const double> n_d, std::optional<MutableMatrixView<Scalar>> grad_v,
                                        Executor& executor) {
  const size_t neurons = static_cast<size_t>(v.cols());
  if (n_d.size() != 1 && n_d.size() != neurons) {
    return InvalidField("n_d", absl::StrCat(n_d.size(), " elements"),
                        absl::StrCat("1, or one for each of the ", neurons, " neurons of v"));
  }
  const auto bad = std::find_if(n_d.begin(), n_d.end(), [](double wanted) { return !std::isfinite(wanted); });
  if (bad != n_d.end()) {
    return InvalidField("n_d", absl::StrCat("n_d[", bad - n_d.begin(), "] is ", *bad), "finite numbers");
  }
  if (grad_v && (grad_v->rows() != v.rows() || grad_v->cols() != v.cols())) {
    return InvalidField("grad_v", ShapeString({grad_v->rows(), grad_v->cols()}),
                        absl::StrCat("the shape of v, ", ShapeString({v.rows(), v.cols()})));
  }
  SpikeClusterOptions options;
  options.t_in = t_in;
  absl::StatusOr<SpikeClusters> clusters = SpikeCluster(v, v_threshold, options, executor);
  if (!clusters.ok()) return clusters.status();

  if (grad_v) grad_v->setZero();
  double loss = 0;
  for (size_t n = 0; n < neurons; ++n) {
    const double excess = clusters->n_o[n] - n_d[n_d.size() == 1 ? 0 : n];
    const int32_t step = excess > 0 ? clusters->k_negative[n] : clusters->k_positive[n];
    if (excess == 0 || step < 0) continue;
    const double sign = excess > 0 ? 1 : -1;
    loss += sign * (static_cast<double>(v(step, n)) - 1);
    if (grad_v) (*grad_v)(step, n) = static_cast<Scalar>(sign);
  }
  return StcaLossResult{loss, std::move(clusters->n_o)};
}

template absl::StatusOr<StcaLossResult> StcaLoss(MatrixView<float>, absl::Span<const float>, int64_t,
                                                 absl::Span<const double>, std::optional<MutableMatrixView<float>>,
                                                 Executor&);
template absl::StatusOr<StcaLossResult> StcaLoss(MatrixView<double>, absl::Span<const double>, int64_t,
                                                 absl::Span<const double>, std::optional<MutableMatrixView<double>>,
                                                 Executor&);

}  // namespace spikeserve

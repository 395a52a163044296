#include "spikeserve/compute/stca_loss.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "hwy/cache_control.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/spike_cluster.h"
#include "stop_check.h"
#include "zero_fill.h"

namespace spikeserve {
namespace {

// Neurons whose elements of v and of its gradient are fetched from memory at the same time: each is in another place.
constexpr int64_t kGroupNeurons = 64;
constexpr int64_t kGroupsPerTask = 1 << 7;

template <typename Scalar>
void SetZero(MutableMatrixView<Scalar>& matrix, Executor& executor) {
  const int64_t row_bytes = matrix.cols() * static_cast<int64_t>(sizeof(Scalar));
  if (matrix.outerStride() == matrix.cols()) {
    ZeroFill(matrix.data(), matrix.rows() * row_bytes, executor);
    return;
  }
  for (Eigen::Index r = 0; r < matrix.rows(); ++r) ZeroFill(matrix.row(r).data(), row_bytes, executor);
}

}  // namespace

template <typename Scalar>
absl::StatusOr<StcaLossResult> StcaLoss(MatrixView<Scalar> v, absl::Span<const Scalar> v_threshold, int64_t t_in,
                                        absl::Span<const double> n_d, std::optional<MutableMatrixView<Scalar>> grad_v,
                                        Executor& executor) {
  const size_t neurons = static_cast<size_t>(v.cols());
  if (n_d.size() != 1 && n_d.size() != neurons) {
    return InvalidField("n_d", absl::StrCat(n_d.size(), " elements"),
                        absl::StrCat("1, or one for each of the ", neurons, " neurons of v"));
  }
  auto bad = n_d.end();
  const bool all = ForPieces(executor, static_cast<int64_t>(n_d.size()), kElementsPerCheck, [&](int64_t b, int64_t e) {
    if (bad != n_d.end()) return;
    const auto end = n_d.begin() + e;
    const auto found = std::find_if(n_d.begin() + b, end, [](double wanted) { return !std::isfinite(wanted); });
    if (found != end) bad = found;
  });
  if (!all) return NotWanted();
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

  if (grad_v) SetZero(*grad_v, executor);
  // Groups of one size whatever the executor, so that the sum is always the same.
  const int64_t count = static_cast<int64_t>(neurons);
  const int64_t groups = count / kGroupNeurons + (count % kGroupNeurons != 0);
  std::vector<double> group_loss(static_cast<size_t>(groups), 0);
  const auto add_group = [&](int64_t g) {
    const int64_t begin = g * kGroupNeurons;
    const int64_t end = std::min(begin + kGroupNeurons, count);
    int32_t step[kGroupNeurons];  // -1 where the neuron adds nothing.
    double sign[kGroupNeurons];
    for (int64_t n = begin; n < end; ++n) {
      const double excess = clusters->n_o[n] - n_d[n_d.size() == 1 ? 0 : n];
      const int32_t t = excess == 0 ? -1 : excess > 0 ? clusters->k_negative[n] : clusters->k_positive[n];
      step[n - begin] = t;
      sign[n - begin] = excess > 0 ? 1 : -1;
      if (t < 0) continue;
      hwy::Prefetch(&v.coeffRef(t, n));
      if (grad_v) hwy::Prefetch(&grad_v->coeffRef(t, n));
    }
    for (int64_t n = begin; n < end; ++n) {
      const int32_t t = step[n - begin];
      if (t < 0) continue;
      group_loss[g] += sign[n - begin] * (static_cast<double>(v(t, n)) - 1);
      if (grad_v) (*grad_v)(t, n) = static_cast<Scalar>(sign[n - begin]);
    }
  };
  executor.ParallelFor(groups, kGroupsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) add_group(g);
  });
  const double loss = std::accumulate(group_loss.begin(), group_loss.end(), 0.0);
  return StcaLossResult{loss, std::move(clusters->n_o)};
}

template absl::StatusOr<StcaLossResult> StcaLoss(MatrixView<float>, absl::Span<const float>, int64_t,
                                                 absl::Span<const double>, std::optional<MutableMatrixView<float>>,
                                                 Executor&);
template absl::StatusOr<StcaLossResult> StcaLoss(MatrixView<double>, absl::Span<const double>, int64_t,
                                                 absl::Span<const double>, std::optional<MutableMatrixView<double>>,
                                                 Executor&);

}  // namespace spikeserve

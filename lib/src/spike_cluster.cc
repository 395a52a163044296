#include "spikeserve/compute/spike_cluster.h"

#include "spikeserve/compute/spike_cluster_scan.h"

namespace spikeserve {

template <typename Scalar>
absl::StatusOr<SpikeClusters> SpikeCluster(MatrixView<Scalar> v, absl::Span<const Scalar> v_threshold,
                                           const SpikeClusterOptions& options, Executor& executor) {
  const auto scan = SpikeClusterScan<Scalar>::Create(v.cols(), v_threshold, options, executor);
  if (!scan.ok()) return scan.status();
  return scan->Finish(v, executor);
}

template absl::StatusOr<SpikeClusters> SpikeCluster(MatrixView<float>, absl::Span<const float>,
                                                    const SpikeClusterOptions&, Executor&);
template absl::StatusOr<SpikeClusters> SpikeCluster(MatrixView<double>, absl::Span<const double>,
                                                    const SpikeClusterOptions&, Executor&);

}  // namespace spikeserve

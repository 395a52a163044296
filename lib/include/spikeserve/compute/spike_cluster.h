// Spike clusters of STCA (Gu, Xiao, Pan, Tang: "STCA: Spatio-Temporal Credit Assignment with Delayed Feedback in Deep
// Spiking Neural Networks", IJCAI 2019).

#ifndef SPIKESERVE_COMPUTE_SPIKE_CLUSTER_H_
#define SPIKESERVE_COMPUTE_SPIKE_CLUSTER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// How clusters are counted.
enum class ClusterRule {
  // What the reference (SpikingFlow) computes. It departs from the definition in three corners:
  // - with t_in = 0, a spike at step 0 is in no cluster, and step 0 is no candidate for k_positive;
  // - a candidate whose voltage equals the minimum of the whole tensor v does not count;
  // - where all voltages of a neuron equal that minimum, k_positive is step 0.
  kReference,
  // A neuron fires at step t where v[t, n] >= v_threshold[n]. A cluster is a maximal group of a neuron's spikes in
  // which neighbours are at most t_in steps apart.
  kDefinition,
};

struct SpikeClusterOptions {
  // In steps, >= 0.
  int64_t t_in = 1;
  ClusterRule rule = ClusterRule::kReference;
  // The minimum of the whole tensor of which v is a block of neurons. Default: the minimum of v. Only kReference uses
  // it.
  std::optional<double> v_min = std::nullopt;
};

// One element for each neuron.
struct SpikeClusters {
  // The number of clusters.
  std::vector<float> n_o;
  // Of the steps at which the neuron does not fire and which are more than t_in steps from each of its spikes, the one
  // with the largest voltage, of equal ones the earliest; -1 where there is no such step.
  std::vector<int32_t> k_positive;
  // The last spike of the cluster with the fewest spikes, of equal ones the earliest; -1 where the neuron is silent.
  std::vector<int32_t> k_negative;
};

// Finds the spike clusters of each neuron, in one pass over v with memory for O(N) values. For a v that comes in pieces
// of time, see SpikeClusterScan.
//
// v [T, N], T < 2^31, either may be 0; v_threshold one element or N. Scalar is float or double.
// Errors: INVALID_ARGUMENT for NaN in v or v_threshold, v_threshold of another length, t_in < 0, v_min above the
// minimum of v or NaN.
template <typename Scalar>
absl::StatusOr<SpikeClusters> SpikeCluster(MatrixView<Scalar> v, absl::Span<const Scalar> v_threshold,
                                           const SpikeClusterOptions& options, Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SPIKE_CLUSTER_H_

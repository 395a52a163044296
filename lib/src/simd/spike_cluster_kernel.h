// The inner loops of SpikeClusterScan, compiled for several instruction sets of which the best is chosen at run time.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_SPIKE_CLUSTER_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_SPIKE_CLUSTER_KERNEL_H_

#include <cstdint>
#include <limits>
#include <type_traits>

namespace spikeserve::simd {

// What is known of some neurons after some steps, an array for each variable.
template <typename Scalar>
struct SpikeClusterGroup {
  // Two of the widest vectors of floats.
  static constexpr int64_t kNeurons = 32;
  // As wide as the voltages, so that both have the same number of lanes in a vector.
  using Step = std::conditional_t<sizeof(Scalar) == 4, int32_t, int64_t>;
  static constexpr Step kNever = std::numeric_limits<int32_t>::min();  // More than 2^31 - 1 before step 0.
  static constexpr Step kNone = std::numeric_limits<Step>::max();

  alignas(64) Scalar threshold[kNeurons];
  Scalar lowest[kNeurons];
  Scalar highest[kNeurons];
  Step last_spike[kNeurons];  // kNever before the first.
  Step clusters[kNeurons];
  Step size[kNeurons];         // Spikes of the present cluster; kNone before the first, which so is never the smallest.
  Step smallest[kNeurons];     // Spikes of the smallest cluster that has ended; kNone where none has.
  Step k_negative[kNeurons];   // Its last spike.
  Step k_positive[kNeurons];   // The best candidate; -1 where there is none.
  Scalar candidate[kNeurons];  // Its voltage; NaN where there is none.
};

// A run of consecutive steps. Each pointer leads to the voltages of the neurons at one step.
template <typename Scalar>
struct SpikeClusterRun {
  using Step = typename SpikeClusterGroup<Scalar>::Step;
  // Short, so that a run of rows stays in cache, and can be prefetched, while the neurons take their turns.
  static constexpr int kMaxSteps = 8;

  int count;        // Of steps, <= kMaxSteps.
  bool spikes;      // Whether the steps first_step ... are to be searched for spikes,
  bool candidates;  // and, after the spikes of each, the steps first_candidate ... for candidates for k_positive.
  Step t_in;        // < 2^31.
  Step first_step;  // Steps are < 2^31 - 1.
  Step first_candidate;
  const Scalar* v[kMaxSteps];
  const Scalar* v_candidate[kMaxSteps];
  const Scalar* v_ahead[kMaxSteps];  // What is read next: only a hint.
};

// Takes `neurons` neurons, whose state is in `groups`, through the run. Whether a voltage of the run is NaN: if false,
// none is; true also for some infinite and huge ones.
bool Advance(const SpikeClusterRun<float>& run, int64_t neurons, SpikeClusterGroup<float>* groups);
bool Advance(const SpikeClusterRun<double>& run, int64_t neurons, SpikeClusterGroup<double>* groups);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_SPIKE_CLUSTER_KERNEL_H_

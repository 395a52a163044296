// The inner loops of SpikeClusterScan, compiled for several instruction sets of which the best is chosen at run time.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_SPIKE_CLUSTER_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_SPIKE_CLUSTER_KERNEL_H_

#include <cstdint>
#include <limits>
#include <type_traits>

namespace spikeserve::simd {

// What is known of a block of neurons after some steps, an array for each variable. Wide enough that the pieces of rows
// that are read (2 KB) are worth the jump from one row to the next, narrow enough that the state and a run of rows stay
// in the first-level cache.
template <typename Scalar>
struct SpikeClusterBlock {
  static constexpr int64_t kWidth = 512;
  // As wide as the voltages, so that both have the same number of lanes in a vector.
  using Step = std::conditional_t<sizeof(Scalar) == 4, int32_t, int64_t>;
  static constexpr Step kNever = std::numeric_limits<int32_t>::min();  // More than 2^31 - 1 before step 0.
  static constexpr Step kNone = std::numeric_limits<Step>::max();

  int64_t width;   // The neurons of this block, <= kWidth.
  Scalar lowest;   // Of all voltages of the block.
  bool maybe_nan;  // Set where a voltage was NaN, and perhaps where some were infinite or huge.
  alignas(64) Scalar threshold[kWidth];
  Scalar highest[kWidth];
  Step last_spike[kWidth];  // kNever before the first.
  Step clusters[kWidth];
  Step size[kWidth];         // Spikes of the present cluster; kNone before the first, which so is never the smallest.
  Step smallest[kWidth];     // Spikes of the smallest cluster that has ended; kNone where none has.
  Step k_negative[kWidth];   // Its last spike.
  Step k_positive[kWidth];   // The best candidate; -1 where there is none.
  Scalar candidate[kWidth];  // Its voltage; NaN where there is none.
};

// A run of consecutive steps. Each pointer leads to the voltages of a block's neurons at one step.
template <typename Scalar>
struct SpikeClusterRun {
  using Step = typename SpikeClusterBlock<Scalar>::Step;
  // Short, so that a run of rows stays in cache, and can be prefetched, while the vectors of a block take their turns.
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

void Advance(const SpikeClusterRun<float>& run, SpikeClusterBlock<float>& block);
void Advance(const SpikeClusterRun<double>& run, SpikeClusterBlock<double>& block);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_SPIKE_CLUSTER_KERNEL_H_

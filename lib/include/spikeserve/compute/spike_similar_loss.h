// A loss on the similarity of spikes: samples that share a label are wanted to be similar, others not.

#ifndef SPIKESERVE_COMPUTE_SPIKE_SIMILAR_LOSS_H_
#define SPIKESERVE_COMPUTE_SPIKE_SIMILAR_LOSS_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// How a similarity p is compared with the wanted one, q.
enum class LossType {
  kMse,  // (p - q)^2
  kL1,   // |p - q|
  kBce,  // -(q ln p + (1 - q) ln(1 - p)), the logarithms clamped at -100; needs p in [0, 1].
};

// The mean over all N * N pairs of the loss between p = kernel(spikes_i, spikes_j) and q = min(1, labels_i . labels_j).
// For the linear kernel, p is divided by |spikes_i| |spikes_j| + 1e-8.
//
// spikes [N, M], labels [N, C] of 0/1; N >= 1, M and C may be 0. Scalar is float or double. Products are computed as by
// KernelDotProduct, losses in double; the gradient's sums of floats are in float but for N N M <= 2^20. Results do not
// depend on the threads.
// Where `grad_spikes` is given, of the shape of spikes, it receives the loss's gradient as automatic differentiation of
// the formulas gives it: for kL1 0 at equality, for a silent sample the gradient of its norm is 0. It may not overlap
// spikes.
// Errors: INVALID_ARGUMENT for N = 0, labels of another N or with values other than 0 and 1, those of CheckKernel, and
// for kBce a p outside of [0, 1] by more than 1e-5 (the message names the pair and the value; less is rounding, and
// clamped).
template <typename Scalar>
absl::StatusOr<double> SpikeSimilarLoss(MatrixView<Scalar> spikes, MatrixView<uint8_t> labels, const Kernel& kernel,
                                        LossType loss_type,
                                        std::optional<MutableMatrixView<Scalar>> grad_spikes = std::nullopt,
                                        Executor& executor = InlineExecutor());

// The same of spikes that are bits. M < 2^31, or INVALID_ARGUMENT. Results do not depend on the machine.
template <typename Scalar>
absl::StatusOr<double> SpikeSimilarLoss(const BitMatrixView& spikes, MatrixView<uint8_t> labels, const Kernel& kernel,
                                        LossType loss_type,
                                        std::optional<MutableMatrixView<Scalar>> grad_spikes = std::nullopt,
                                        Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SPIKE_SIMILAR_LOSS_H_

// Internal: kernels of 0/1 operands with others.

#ifndef SPIKESERVE_COMPUTE_SRC_MIXED_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_MIXED_KERNEL_H_

#include <cstdint>

#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// Whether MixedKernel is faster than products of floats: its tables must pay.
inline bool WorthMixed(int64_t bit_rows) { return bit_rows >= 64; }

// KernelDotProduct of operands that fit, of which one is 0/1: ret[i][j] is of row i of `bits` and row j of `dense` or,
// if `transposed`, ret[j][i].
template <typename Scalar>
void MixedKernel(const BitMatrixView& bits, const MatrixView<Scalar>& dense, bool transposed, const Kernel& kernel,
                 MutableMatrixView<Scalar> ret, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_MIXED_KERNEL_H_

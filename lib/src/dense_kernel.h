// Internal: kernels of floats and doubles.

#ifndef SPIKESERVE_COMPUTE_SRC_DENSE_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_DENSE_KERNEL_H_

#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// KernelDotProduct of operands that fit; a null `y` is x.
template <typename Scalar>
void DenseKernel(const MatrixView<Scalar>& x, const MatrixView<Scalar>* y, const Kernel& kernel,
                 MutableMatrixView<Scalar> ret, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_DENSE_KERNEL_H_

// The gradient of kernels of all pairs of rows of two matrices, for callers who differentiate what they compute with
// it.

#ifndef SPIKESERVE_COMPUTE_KERNEL_VJP_H_
#define SPIKESERVE_COMPUTE_KERNEL_VJP_H_

#include "absl/status/status.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// The vector-Jacobian product of KernelDotProduct: given `grad_output`, the gradient of a loss with respect to
// ret[i][j] = kernel(x row i, y row j), the gradients of the loss with respect to x and y.
//
// x [N, M], y [K, M], grad_output [N, K], grad_x [N, M], grad_y [K, M]; any of N, K, M may be 0. Scalar is float or
// double. x, y and grad_output may be the same memory; grad_x and grad_y may overlap neither them nor each other.
//
// With s = x_i.y_j, k = kernel(x_i, y_j) and G = grad_output[i][j], a pair adds w y_j to row i of grad_x and w x_i to
// row j of grad_y, where w is
//   linear      G
//   polynomial  G d s^(d-1)
//   sigmoid     G alpha k (1 - k)
// For the gaussian w = G k / sigma^2, and it adds w (y_j - x_i) and w (x_i - y_j).
// Corners are those of automatic differentiation (PyTorch's): the power d = 0 has the derivative 0, also at s = 0; d =
// 1 has 1; for other d < 1 that at s = 0 is infinite, and where d is not an integer that at s < 0 is NaN. A w that is
// infinite or NaN is taken as it is: infinity times a 0 of y_j gives NaN. A gaussian of equal rows adds 0 however small
// sigma is, if G is finite.
//
// Products are summed as by KernelDotProduct, weights are evaluated in double, and the gradients' sums of floats are by
// runs as products are, but where N K M <= 2^20 in double. Results do not depend on the threads. Beside the operands
// this takes memory for twice grad_output, x and y. Errors: INVALID_ARGUMENT for y with other than M columns, a grad of
// another shape, or as CheckKernel.
template <typename Scalar>
absl::Status KernelDotProductVjp(MatrixView<Scalar> x, MatrixView<Scalar> y, const Kernel& kernel,
                                 MatrixView<Scalar> grad_output, MutableMatrixView<Scalar> grad_x,
                                 MutableMatrixView<Scalar> grad_y, Executor& executor = InlineExecutor());

// The same of ret[i][j] = kernel(x row i, x row j), with respect to both places of x: the sum of grad_x and grad_y
// above for y = x, for about half of the work.
template <typename Scalar>
absl::Status KernelDotProductVjp(MatrixView<Scalar> x, const Kernel& kernel, MatrixView<Scalar> grad_output,
                                 MutableMatrixView<Scalar> grad_x, Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_KERNEL_VJP_H_

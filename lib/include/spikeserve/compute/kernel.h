// Kernels, similarities of two vectors, and their values for all pairs of rows of two matrices.

#ifndef SPIKESERVE_COMPUTE_KERNEL_H_
#define SPIKESERVE_COMPUTE_KERNEL_H_

#include <variant>

#include "absl/status/status.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// x.y
struct LinearKernel {};
// (x.y)^d
struct PolynomialKernel {
  double d;
};
// 1 / (1 + exp(-alpha x.y))
struct SigmoidKernel {
  double alpha;
};
// exp(-|x - y|^2 / (2 sigma^2))
struct GaussianKernel {
  double sigma;
};
using Kernel = std::variant<LinearKernel, PolynomialKernel, SigmoidKernel, GaussianKernel>;

// Refuses a parameter that is not finite, and sigma = 0. The fields are named "kernel.polynomial.d" and so on.
absl::Status CheckKernel(const Kernel& kernel);

// ret[i][j] = kernel(x row i, y row j).
//
// x [N, M], y [K, M], ret [N, K]; any of N, K, M may be 0 (a product over nothing is 0). Scalar is float or double.
// Products are summed in double and the kernel is evaluated in double, so that the only rounding is that of the result;
// for 0/1 operands the linear kernel is exact. `x` and `y` may be the same memory, `ret` may not overlap them.
// Errors: INVALID_ARGUMENT for y with other than M columns, ret of another shape, or as CheckKernel.
template <typename Scalar>
absl::Status KernelDotProduct(MatrixView<Scalar> x, MatrixView<Scalar> y, const Kernel& kernel,
                              MutableMatrixView<Scalar> ret, Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_KERNEL_H_

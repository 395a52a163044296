// Kernels, similarities of two vectors, and their values for all pairs of rows of two matrices.

#ifndef SPIKESERVE_COMPUTE_KERNEL_H_
#define SPIKESERVE_COMPUTE_KERNEL_H_

#include <variant>

#include "absl/status/status.h"
#include "spikeserve/compute/bit_matrix.h"
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
// x [N, M], y [K, M], ret [N, K]; any of N, K, M may be 0 (a product over nothing is 0). Scalar is float or double. `x`
// and `y` may be the same memory (then half of the work is saved), `ret` may not overlap them.
//
// Where all elements of both are 0 or 1, products are exact integers, and the only rounding is that of the result.
// Otherwise the products of floats are summed in float by runs of 256 elements and the runs in double; where there are
// few, N K M <= 2^20, and for doubles, all is in double (docs/decisions/0004). Kernels are evaluated in double. Results
// do not depend on the threads; those of 0/1 operands do not depend on the machine either.
// Errors: INVALID_ARGUMENT for y with other than M columns, ret of another shape, or as CheckKernel.
template <typename Scalar>
absl::Status KernelDotProduct(MatrixView<Scalar> x, MatrixView<Scalar> y, const Kernel& kernel,
                              MutableMatrixView<Scalar> ret, Executor& executor = InlineExecutor());

// The same of matrices of bits. M < 2^31, or INVALID_ARGUMENT.
template <typename Scalar>
absl::Status KernelDotProduct(const BitMatrixView& x, const BitMatrixView& y, const Kernel& kernel,
                              MutableMatrixView<Scalar> ret, Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_KERNEL_H_

// Internal: kernels of floats and doubles.

#ifndef SPIKESERVE_COMPUTE_SRC_DENSE_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_DENSE_KERNEL_H_

#include <cstdint>
#include <type_traits>

#include "operands.h"
#include "row_products.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// Whether few products of floats are wanted: computing them in double takes no time to speak of.
template <typename Scalar>
bool InDouble(int64_t rows, int64_t cols, int64_t depth) {
  constexpr double kFew = 1 << 20;
  return std::is_same_v<Scalar, float> &&
         static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(depth) <= kFew;
}

// KernelDotProduct of operands that fit, with products in T: double, or Scalar; a null `y` is x.
template <typename T, typename Scalar>
void DenseKernel(const MatrixView<Scalar>& x, const MatrixView<Scalar>* y, const Kernel& kernel,
                 MutableMatrixView<Scalar> ret, Executor& executor);

// y of DenseKernel, laid out once.
template <typename Scalar>
struct PackedDense {
  PackedDense(const MatrixView<Scalar>& y, const Kernel& kernel, Executor& executor);

  // Of y alone.
  CentreRow<Scalar> centre;
  PackedRows<Scalar> rows;
};

// The same with products in Scalar; `packed` is of `y` and the kernel.
template <typename Scalar>
void DenseKernel(const MatrixView<Scalar>& x, const MatrixView<Scalar>& y, const PackedDense<Scalar>& packed,
                 const Kernel& kernel, MutableMatrixView<Scalar> ret, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_DENSE_KERNEL_H_

// Internal: kernels of 0/1 operands.

#ifndef SPIKESERVE_COMPUTE_SRC_BIT_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_BIT_KERNEL_H_

#include <cstdint>
#include <limits>

#include "row_products.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// Numbers of common ones are int32_t.
inline constexpr int64_t kMaxBitColumns = std::numeric_limits<int32_t>::max();

// Whether it is worth to look for a matrix that is all 0 and 1. Rows of few columns take up to 64 times as much as bits
// as they do: many of them are no bits, as what they take is counted as what they are.
template <typename Scalar>
bool MayBeBits(const MatrixView<Scalar>& matrix) {
  constexpr int64_t kManyRows = 1 << 16;
  const int64_t row_bytes = matrix.cols() * static_cast<int64_t>(sizeof(Scalar));
  return matrix.cols() <= kMaxBitColumns && (matrix.rows() <= kManyRows || row_bytes >= BitMatrix::kAlignment);
}

// KernelDotProduct of operands that fit, of at most kMaxBitColumns columns; a null `y` is x. The kernel's argument is
// an integer, so that the only rounding is that of its value.
template <typename Scalar>
void BitKernel(const BitMatrixView& x, const BitMatrixView* y, const Kernel& kernel, MutableMatrixView<Scalar> ret,
               Executor& executor);

// y of BitKernel, laid out once.
struct PackedBits {
  PackedBits(const BitMatrixView& y, const Kernel& kernel, Executor& executor);

  PackedRows<uint64_t> rows;
};

// The same; `packed` is of y and the kernel.
template <typename Scalar>
void BitKernel(const BitMatrixView& x, const PackedBits& packed, const Kernel& kernel, MutableMatrixView<Scalar> ret,
               Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_BIT_KERNEL_H_

// The right operand of KernelDotProduct, laid out once for a left one that comes in pieces.

#ifndef SPIKESERVE_COMPUTE_KERNEL_OPERAND_H_
#define SPIKESERVE_COMPUTE_KERNEL_OPERAND_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// Multiplies rows of x by all of y as KernelDotProduct does, some at a time: to lay y out takes as long as the products
// of some tens of rows. Results agree with KernelDotProduct's to rounding (few products are not summed in double, and
// the gaussian's operands are moved by y's middle only); of 0/1 operands they are the same.
//
// Movable. Thread rule: const calls are safe from several threads. Scalar is float or double.
template <typename Scalar>
class KernelOperand {
 public:
  // `y` [K, M] must outlive the object. Errors: those of CheckKernel.
  static absl::StatusOr<KernelOperand> Create(MatrixView<Scalar> y, const Kernel& kernel,
                                              Executor& executor = InlineExecutor());
  KernelOperand(KernelOperand&&) noexcept;
  KernelOperand& operator=(KernelOperand&&) noexcept;
  ~KernelOperand();

  // ret[i][j] = kernel(x row i, y row j), for x [n, M] and ret [n, K].
  // Errors: INVALID_ARGUMENT for x with other than M columns, or ret of another shape.
  absl::Status Multiply(MatrixView<Scalar> x, MutableMatrixView<Scalar> ret,
                        Executor& executor = InlineExecutor()) const;

 private:
  struct Impl;
  explicit KernelOperand(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

// The same of matrices of bits, of which no view is kept. M < 2^31, or INVALID_ARGUMENT.
class KernelBitOperand {
 public:
  static absl::StatusOr<KernelBitOperand> Create(const BitMatrixView& y, const Kernel& kernel,
                                                 Executor& executor = InlineExecutor());
  KernelBitOperand(KernelBitOperand&&) noexcept;
  KernelBitOperand& operator=(KernelBitOperand&&) noexcept;
  ~KernelBitOperand();

  template <typename Scalar>
  absl::Status Multiply(const BitMatrixView& x, MutableMatrixView<Scalar> ret,
                        Executor& executor = InlineExecutor()) const;

 private:
  struct Impl;
  explicit KernelBitOperand(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_KERNEL_OPERAND_H_

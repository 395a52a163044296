#include "spikeserve/compute/kernel_operand.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bit_kernel.h"
#include "dense_kernel.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "stop_check.h"

namespace spikeserve {
namespace {

template <class X, class Ret>
absl::Status CheckPiece(const X& x, const Ret& ret, int64_t rows, int64_t cols) {
  if (x.cols() != cols) {
    return InvalidField("x", ShapeString({x.rows(), x.cols()}), absl::StrCat(cols, " columns, as y has"));
  }
  if (ret.rows() != x.rows() || ret.cols() != rows) {
    return InvalidField("ret", ShapeString({ret.rows(), ret.cols()}), ShapeString({x.rows(), rows}));
  }
  return absl::OkStatus();
}

}  // namespace

template <typename Scalar>
struct KernelOperand<Scalar>::Impl {
  Impl(MatrixView<Scalar> y, const Kernel& kernel, Executor& executor)
      : y(y), kernel(kernel), dense(this->y, kernel, executor) {
    if (!MayBeBits<Scalar>(y)) return;
    if (const std::optional<BitMatrix> packed = BitMatrix::Pack<Scalar>(y, executor)) {
      bits.emplace(*packed, kernel, executor);
    }
  }

  MatrixView<Scalar> y;
  Kernel kernel;
  PackedDense<Scalar> dense;
  // Where all of y is 0 or 1.
  std::optional<PackedBits> bits;
};

template <typename Scalar>
KernelOperand<Scalar>::KernelOperand(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
template <typename Scalar>
KernelOperand<Scalar>::KernelOperand(KernelOperand&&) noexcept = default;
template <typename Scalar>
KernelOperand<Scalar>& KernelOperand<Scalar>::operator=(KernelOperand&&) noexcept = default;
template <typename Scalar>
KernelOperand<Scalar>::~KernelOperand() = default;

template <typename Scalar>
absl::StatusOr<KernelOperand<Scalar>> KernelOperand<Scalar>::Create(MatrixView<Scalar> y, const Kernel& kernel,
                                                                    Executor& executor) {
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  auto impl = std::make_unique<const Impl>(y, kernel, executor);
  if (executor.Stopped()) return NotWanted();
  return KernelOperand(std::move(impl));
}

template <typename Scalar>
absl::Status KernelOperand<Scalar>::Multiply(MatrixView<Scalar> x, MutableMatrixView<Scalar> ret,
                                             Executor& executor) const {
  if (absl::Status status = CheckPiece(x, ret, impl_->y.rows(), impl_->y.cols()); !status.ok()) return status;
  if (impl_->bits && MayBeBits<Scalar>(x)) {
    if (const std::optional<BitMatrix> bits = BitMatrix::Pack<Scalar>(x, executor)) {
      BitKernel<Scalar>(*bits, *impl_->bits, impl_->kernel, ret, executor);
      return absl::OkStatus();
    }
  }
  DenseKernel<Scalar>(x, impl_->y, impl_->dense, impl_->kernel, ret, executor);
  return absl::OkStatus();
}

template class KernelOperand<float>;
template class KernelOperand<double>;

struct KernelBitOperand::Impl {
  Impl(const BitMatrixView& y, const Kernel& kernel, Executor& executor)
      : rows(y.rows()), cols(y.cols()), kernel(kernel), bits(y, kernel, executor) {}

  int64_t rows;
  int64_t cols;
  Kernel kernel;
  PackedBits bits;
};

KernelBitOperand::KernelBitOperand(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
KernelBitOperand::KernelBitOperand(KernelBitOperand&&) noexcept = default;
KernelBitOperand& KernelBitOperand::operator=(KernelBitOperand&&) noexcept = default;
KernelBitOperand::~KernelBitOperand() = default;

absl::StatusOr<KernelBitOperand> KernelBitOperand::Create(const BitMatrixView& y, const Kernel& kernel,
                                                          Executor& executor) {
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  if (y.cols() > kMaxBitColumns) {
    return InvalidField("y", absl::StrCat(y.cols(), " columns of bits"), absl::StrCat("at most ", kMaxBitColumns));
  }
  auto impl = std::make_unique<const Impl>(y, kernel, executor);
  if (executor.Stopped()) return NotWanted();
  return KernelBitOperand(std::move(impl));
}

template <typename Scalar>
absl::Status KernelBitOperand::Multiply(const BitMatrixView& x, MutableMatrixView<Scalar> ret,
                                        Executor& executor) const {
  if (absl::Status status = CheckPiece(x, ret, impl_->rows, impl_->cols); !status.ok()) return status;
  BitKernel<Scalar>(x, impl_->bits, impl_->kernel, ret, executor);
  return absl::OkStatus();
}

template absl::Status KernelBitOperand::Multiply(const BitMatrixView&, MutableMatrixView<float>, Executor&) const;
template absl::Status KernelBitOperand::Multiply(const BitMatrixView&, MutableMatrixView<double>, Executor&) const;

}  // namespace spikeserve

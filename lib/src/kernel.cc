#include "spikeserve/compute/kernel.h"

#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "bit_kernel.h"
#include "dense_kernel.h"
#include "mixed_kernel.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {
namespace {

absl::Status CheckParameter(const LinearKernel&) { return absl::OkStatus(); }

absl::Status CheckFinite(const char* field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value), "a finite number");
}

absl::Status CheckParameter(const PolynomialKernel& kernel) { return CheckFinite("kernel.polynomial.d", kernel.d); }

absl::Status CheckParameter(const SigmoidKernel& kernel) { return CheckFinite("kernel.sigmoid.alpha", kernel.alpha); }

absl::Status CheckParameter(const GaussianKernel& kernel) {
  if (kernel.sigma == 0) return InvalidField("kernel.gaussian.sigma", "0", "a finite number other than 0");
  return CheckFinite("kernel.gaussian.sigma", kernel.sigma);
}

// x, y and ret are matrices of any kind.
template <class X, class Ret>
absl::Status Check(const X& x, const X& y, const Kernel& kernel, const Ret& ret) {
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  if (y.cols() != x.cols()) {
    return InvalidField("y", ShapeString({y.rows(), y.cols()}), absl::StrCat(x.cols(), " columns, as x has"));
  }
  if (ret.rows() != x.rows() || ret.cols() != y.rows()) {
    return InvalidField("ret", ShapeString({ret.rows(), ret.cols()}), ShapeString({x.rows(), y.rows()}));
  }
  return absl::OkStatus();
}

// Whether both are the same memory; then ret is symmetric.
template <typename Scalar>
bool Same(const MatrixView<Scalar>& x, const MatrixView<Scalar>& y) {
  return x.data() == y.data() && x.rows() == y.rows() && x.outerStride() == y.outerStride();
}
bool Same(const BitMatrixView& x, const BitMatrixView& y) {
  return x.data() == y.data() && x.rows() == y.rows() && x.row_bytes() == y.row_bytes();
}

}  // namespace

absl::Status CheckKernel(const Kernel& kernel) {
  return std::visit([](const auto& kind) { return CheckParameter(kind); }, kernel);
}

template <typename Scalar>
absl::Status KernelDotProduct(const BitMatrixView& x, const BitMatrixView& y, const Kernel& kernel,
                              MutableMatrixView<Scalar> ret, Executor& executor) {
  if (absl::Status status = Check(x, y, kernel, ret); !status.ok()) return status;
  if (x.cols() > kMaxBitColumns) {
    return InvalidField("x", absl::StrCat(x.cols(), " columns of bits"), absl::StrCat("at most ", kMaxBitColumns));
  }
  BitKernel<Scalar>(x, Same(x, y) ? nullptr : &y, kernel, ret, executor);
  return absl::OkStatus();
}

template <typename Scalar>
absl::Status KernelDotProduct(MatrixView<Scalar> x, MatrixView<Scalar> y, const Kernel& kernel,
                              MutableMatrixView<Scalar> ret, Executor& executor) {
  if (absl::Status status = Check(x, y, kernel, ret); !status.ok()) return status;
  const bool same = Same<Scalar>(x, y);
  const auto pack = [&](const MatrixView<Scalar>& matrix) {
    return MayBeBits<Scalar>(matrix) ? BitMatrix::Pack<Scalar>(matrix, executor) : std::nullopt;
  };
  const std::optional<BitMatrix> x_bits = pack(x);
  const std::optional<BitMatrix> y_bits = same ? std::nullopt : pack(y);
  if (x_bits && same) {
    BitKernel<Scalar>(*x_bits, nullptr, kernel, ret, executor);
  } else if (x_bits && y_bits) {
    const BitMatrixView y_view = *y_bits;
    BitKernel<Scalar>(*x_bits, &y_view, kernel, ret, executor);
  } else if (InDouble<Scalar>(x.rows(), y.rows(), x.cols())) {
    DenseKernel<double, Scalar>(x, same ? nullptr : &y, kernel, ret, executor);
  } else if (x_bits && WorthMixed(x.rows())) {
    MixedKernel<Scalar>(*x_bits, y, /*transposed=*/false, kernel, ret, executor);
  } else if (y_bits && WorthMixed(y.rows())) {
    MixedKernel<Scalar>(*y_bits, x, /*transposed=*/true, kernel, ret, executor);
  } else {
    DenseKernel<Scalar, Scalar>(x, same ? nullptr : &y, kernel, ret, executor);
  }
  return absl::OkStatus();
}

template absl::Status KernelDotProduct(const BitMatrixView&, const BitMatrixView&, const Kernel&,
                                       MutableMatrixView<float>, Executor&);
template absl::Status KernelDotProduct(const BitMatrixView&, const BitMatrixView&, const Kernel&,
                                       MutableMatrixView<double>, Executor&);
template absl::Status KernelDotProduct(MatrixView<float>, MatrixView<float>, const Kernel&, MutableMatrixView<float>,
                                       Executor&);
template absl::Status KernelDotProduct(MatrixView<double>, MatrixView<double>, const Kernel&, MutableMatrixView<double>,
                                       Executor&);

}  // namespace spikeserve

#include "spikeserve/compute/kernel.h"

#include "absl/strings/str_cat.h"
#include "kernel_tiles.h"
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

template <typename Scalar>
bool SameMemory(const MatrixView<Scalar>& x, const MatrixView<Scalar>& y) {
  return x.data() == y.data() && x.rows() == y.rows() && x.outerStride() == y.outerStride();
}

}  // namespace

absl::Status CheckKernel(const Kernel& kernel) {
  return std::visit([](const auto& kind) { return CheckParameter(kind); }, kernel);
}

template <typename Scalar>
absl::Status KernelDotProduct(MatrixView<Scalar> x, MatrixView<Scalar> y, const Kernel& kernel,
                              MutableMatrixView<Scalar> ret, Executor& executor) {
  using Tiles = KernelTiles<Scalar>;
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  if (y.cols() != x.cols()) {
    return InvalidField("y", ShapeString({y.rows(), y.cols()}), absl::StrCat(x.cols(), " columns, as x has"));
  }
  if (ret.rows() != x.rows() || ret.cols() != y.rows()) {
    return InvalidField("ret", ShapeString({ret.rows(), ret.cols()}), ShapeString({x.rows(), y.rows()}));
  }
  // Then ret is symmetric, and the tiles on and above the diagonal suffice.
  const bool same = SameMemory<Scalar>(x, y);
  const Tiles tiles(x, y, kernel);
  const int64_t across = Tiles::Count(y.rows());
  executor.ParallelFor(Tiles::Count(x.rows()) * across, 1, [&](int64_t begin, int64_t end) {
    typename Tiles::Scratch scratch;
    for (int64_t index = begin; index < end; ++index) {
      const int64_t i = index / across * Tiles::kRows;
      const int64_t j = index % across * Tiles::kRows;
      if (same && j < i) continue;
      auto tile = tiles.Tile(i, j, scratch);
      std::visit(
          [&](const auto& kind) { tile = tile.unaryExpr([&](double value) { return KernelValue(kind, value); }); },
          kernel);
      ret.block(i, j, tile.rows(), tile.cols()) = tile.template cast<Scalar>();
      if (same && j > i) ret.block(j, i, tile.cols(), tile.rows()) = tile.transpose().template cast<Scalar>();
    }
  });
  return absl::OkStatus();
}

template absl::Status KernelDotProduct(MatrixView<float>, MatrixView<float>, const Kernel&, MutableMatrixView<float>,
                                       Executor&);
template absl::Status KernelDotProduct(MatrixView<double>, MatrixView<double>, const Kernel&, MutableMatrixView<double>,
                                       Executor&);

}  // namespace spikeserve

// Internal: what a kernel is a function of, for all pairs of rows of two matrices, tile by tile.

#ifndef SPIKESERVE_KERNEL_TILES_H_
#define SPIKESERVE_KERNEL_TILES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <variant>

#include "Eigen/Core"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// The kernel's value, of what KernelTiles computes for it.
inline double KernelValue(const LinearKernel&, double product) { return product; }
inline double KernelValue(const PolynomialKernel& kernel, double product) { return std::pow(product, kernel.d); }
inline double KernelValue(const SigmoidKernel& kernel, double product) {
  return 1 / (1 + std::exp(-kernel.alpha * product));
}
inline double KernelValue(const GaussianKernel& kernel, double distance2) {
  // Not / (sigma * sigma), which is 0 for a small sigma.
  return std::exp(-0.5 * (distance2 / kernel.sigma / kernel.sigma));
}

template <typename Scalar>
Eigen::VectorXd SquaredNorms(const MatrixView<Scalar>& x) {
  Eigen::VectorXd norms(x.rows());
  for (Eigen::Index i = 0; i < x.rows(); ++i) norms[i] = x.row(i).template cast<double>().squaredNorm();
  return norms;
}

// Cuts the pairs (row i of x, row j of y) into square tiles and computes, in double, the product x_i . y_j of each pair
// of a tile, or for the gaussian kernel |x_i - y_j|^2. Operands become double piece by piece: the memory needed is a
// Scratch, whatever the shapes. A tile's values depend on nothing but x, y and the tile.
//
// Thread rule: const calls are safe from several threads, with a Scratch each. x and y must outlive it.
template <typename Scalar>
class KernelTiles {
 public:
  // Rows and columns of a tile, but for the last ones.
  static constexpr int64_t kRows = 64;
  // Columns of x and y that are double at a time.
  static constexpr int64_t kDepth = 512;

  struct Scratch {
    RowMatrix<double> x{kRows, kDepth};
    RowMatrix<double> y{kRows, kDepth};
    RowMatrix<double> tile{kRows, kRows};
  };

  KernelTiles(const MatrixView<Scalar>& x, const MatrixView<Scalar>& y, const Kernel& kernel)
      : x_(x), y_(y), distances_(std::holds_alternative<GaussianKernel>(kernel)) {
    if (!distances_) return;
    x_norms_ = SquaredNorms<Scalar>(x);
    y_norms_ = SquaredNorms<Scalar>(y);
  }

  static int64_t Count(int64_t rows) { return rows / kRows + (rows % kRows != 0); }

  // The tile of pairs (begin_i + r, begin_j + c), which begins at multiples of kRows; in scratch.tile until the next
  // call.
  Eigen::Block<RowMatrix<double>> Tile(int64_t begin_i, int64_t begin_j, Scratch& scratch) const {
    const int64_t rows = std::min(kRows, x_.rows() - begin_i);
    const int64_t cols = std::min(kRows, y_.rows() - begin_j);
    auto tile = scratch.tile.topLeftCorner(rows, cols);
    tile.setZero();
    for (int64_t k = 0; k < x_.cols(); k += kDepth) {
      const int64_t depth = std::min<int64_t>(kDepth, x_.cols() - k);
      auto x = scratch.x.topLeftCorner(rows, depth);
      auto y = scratch.y.topLeftCorner(cols, depth);
      x = x_.block(begin_i, k, rows, depth).template cast<double>();
      y = y_.block(begin_j, k, cols, depth).template cast<double>();
      tile.noalias() += x * y.transpose();
    }
    if (distances_) ToDistances(begin_i, begin_j, tile);
    return tile;
  }

 private:
  void ToDistances(int64_t begin_i, int64_t begin_j, Eigen::Block<RowMatrix<double>> tile) const {
    // Where |x|^2 + |y|^2 - 2 x.y is smaller than its terms by this factor (or not a number), too many digits
    // cancelled.
    constexpr double kCancelled = 1e-6;
    for (Eigen::Index r = 0; r < tile.rows(); ++r) {
      for (Eigen::Index c = 0; c < tile.cols(); ++c) {
        const double norms = x_norms_[begin_i + r] + y_norms_[begin_j + c];
        double& value = tile(r, c);
        value = norms - 2 * value;
        if (!(value > kCancelled * norms)) {
          value =
              (x_.row(begin_i + r).template cast<double>() - y_.row(begin_j + c).template cast<double>()).squaredNorm();
        }
      }
    }
  }

  const MatrixView<Scalar>& x_;
  const MatrixView<Scalar>& y_;
  const bool distances_;
  Eigen::VectorXd x_norms_;
  Eigen::VectorXd y_norms_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_KERNEL_TILES_H_

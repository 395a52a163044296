#include "spikeserve/compute/kernel_vjp.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <variant>

#include "absl/strings/str_cat.h"
#include "aligned_buffer.h"
#include "dense_kernel.h"
#include "kernel_function.h"
#include "operands.h"
#include "panels.h"
#include "row_products.h"
#include "simd/transpose.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "squared_distance.h"
#include "stop_check.h"
#include "tile_grid.h"
#include "weighted_sums.h"

namespace spikeserve {
namespace {

// The weights w of all pairs, as the header has them, for sums over y and over x. Where y is x the pairs (i, j) and
// (j, i) have the same rows and one weight, of both gradients of the outputs.
template <typename T>
class PairWeights {
 public:
  PairWeights(int64_t x_rows, int64_t y_rows, bool symmetric) : of_x_(x_rows, y_rows) {
    if (!symmetric) of_y_.emplace(y_rows, x_rows);
  }

  bool symmetric() const { return !of_y_; }
  // Row i has the weights of the rows of y in the gradient of row i of x, and the other way round.
  const Panels<T>& of_x() const { return of_x_; }
  const Panels<T>& of_y() const { return symmetric() ? of_x_ : *of_y_; }

  // weights[r * side + c] is that of row tile.rows.begin + r of x and row tile.cols.begin + c of y; the weights beyond
  // the tile, up to whole panels, are 0. Of a symmetric grid this is also the tile on the other side of the diagonal.
  void Write(const TileGrid::Tile& tile, const T* weights, int64_t side) {
    const auto& [rows, cols] = tile;
    for (int64_t r = 0; r < rows.count; r += kLanes) {
      T* lanes = of_x_.panel((rows.begin + r) / kLanes) + cols.begin * kLanes;
      simd::Transpose(weights + r * side, side, kLanes, cols.count, static_cast<const T*>(nullptr), lanes, kLanes);
    }
    Panels<T>& of_y = symmetric() ? of_x_ : *of_y_;
    for (int64_t c = 0; c < cols.count; c += kLanes) {
      T* lanes = of_y.panel((cols.begin + c) / kLanes) + rows.begin * kLanes;
      for (int64_t r = 0; r < rows.count; ++r) std::copy_n(weights + r * side + c, kLanes, lanes + r * kLanes);
    }
  }

 private:
  static constexpr int64_t kLanes = Panels<T>::kLanes;

  Panels<T> of_x_;
  std::optional<Panels<T>> of_y_;
};

// values[c] = the weight of the pair whose output has the gradient gradients[c] and the kernel the argument values[c].
// `scratch` has room for 2 * count.
void EvaluateWeights(const Kernel& kernel, const double* gradients, int64_t count, double* values, double* scratch) {
  // A constant has no gradient, not even of outputs whose gradient is not finite.
  if (const auto* polynomial = std::get_if<PolynomialKernel>(&kernel); polynomial != nullptr && polynomial->d == 0) {
    std::fill_n(values, count, 0.0);
    return;
  }
  double* const slopes = scratch + count;
  std::copy_n(values, count, scratch);
  EvaluateKernel(kernel, scratch, count);
  EvaluateSlopes(kernel, values, scratch, count, slopes);
  for (int64_t c = 0; c < count; ++c) values[c] = gradients[c] * slopes[c];
}

// The sums of the rows of `weights`, summed as products are: so w y_j and w x_i cancel where they should.
template <typename T>
RowMatrix<double> RowSums(const Panels<T>& weights, Executor& executor) {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  Panels<T> ones(1, weights.depth());
  executor.ParallelFor(weights.depth() * kLanes, kElementsPerCheck, [&](int64_t begin, int64_t end) {
    std::fill(ones.panel(0) + begin, ones.panel(0) + end, T{1});
  });
  RowMatrix<double> sums(weights.rows(), 1);
  WriteWeightedSums<T, double>(weights, ones, sums, executor);
  return sums;
}

// Products and sums are in T.
template <typename T, typename Scalar>
class DenseVjp {
 public:
  // A null `y` is x.
  DenseVjp(const MatrixView<Scalar>& x, const MatrixView<Scalar>* y, const Kernel& kernel, Executor& executor)
      : x_(x),
        y_(y == nullptr ? x : *y),
        symmetric_(y == nullptr),
        kernel_(kernel),
        executor_(executor),
        centre_(Centre<T, Scalar>(kernel, x_, y_, executor)),
        x_operand_(x_, centre_),
        y_operand_(y_, centre_) {}

  PairWeights<T> Weights(const MatrixView<Scalar>& grad_output) const {
    // The multiplications that take as long as the rest of a pair's work.
    constexpr double kPairCost = 100;
    const RowProducts<T> products(x_operand_, symmetric_ ? nullptr : &y_operand_, TakesDistance(kernel_), executor_);
    PairWeights<T> weights(x_.rows(), y_.rows(), symmetric_);
    const TileGrid grid(x_.rows(), y_.rows(), symmetric_);
    const int64_t side = grid.side();
    const double cost = static_cast<double>(side * side) * (static_cast<double>(x_.cols()) + kPairCost);
    executor_.ParallelFor(grid.count(), Grain(cost), [&](int64_t begin, int64_t end) {
      AlignedBuffer<double> arguments(side * side);
      AlignedBuffer<double> gradients(side);
      AlignedBuffer<double> scratch(2 * side);
      AlignedBuffer<T> tile_weights(side * side);
      StopCheck stop(executor_);
      for (int64_t index = begin; index < end; ++index) {
        const TileGrid::Tile tile = grid.at(index);
        if (!products.Tile(tile.rows, tile.cols, arguments.data(), side)) return;
        std::fill_n(tile_weights.data(), side * side, T{0});
        for (int64_t r = 0; r < tile.rows.count; ++r) {
          const int64_t i = tile.rows.begin + r;
          double* row = arguments.data() + r * side;
          if (TakesDistance(kernel_) && !ToSquaredDistances<T, Scalar>(products, x_, y_, i, tile.cols, row, stop)) {
            return;
          }
          CopyGradients(grad_output, i, tile.cols, gradients.data());
          EvaluateWeights(kernel_, gradients.data(), tile.cols.count, row, scratch.data());
          std::copy_n(row, tile.cols.count, tile_weights.data() + r * side);
        }
        weights.Write(tile, tile_weights.data(), side);
      }
    });
    return weights;
  }

  void WriteGradX(const PairWeights<T>& weights, MutableMatrixView<Scalar> grad_x) const {
    WriteGradient(weights.of_x(), x_operand_, y_operand_, grad_x);
  }
  void WriteGradY(const PairWeights<T>& weights, MutableMatrixView<Scalar> grad_y) const {
    WriteGradient(weights.of_y(), y_operand_, x_operand_, grad_y);
  }

 private:
  using Operand = DenseOperand<T, Scalar>;

  // Of the outputs of row i with `cols`.
  void CopyGradients(const MatrixView<Scalar>& grad_output, int64_t i, RowRange cols, double* gradients) const {
    for (int64_t c = 0; c < cols.count; ++c) gradients[c] = static_cast<double>(grad_output(i, cols.begin + c));
    if (!symmetric_) return;
    for (int64_t c = 0; c < cols.count; ++c) gradients[c] += static_cast<double>(grad_output(cols.begin + c, i));
  }

  // The gradient of the rows of `own`, of which row i of `weights` has the weights of the rows of `other`.
  void WriteGradient(const Panels<T>& weights, const Operand& own, const Operand& other,
                     MutableMatrixView<Scalar> grad) const {
    const Panels<T> columns = other.PackColumns(executor_);
    if (!TakesDistance(kernel_)) return WriteWeightedSums<T, Scalar>(weights, columns, grad, executor_);
    // The sum of w (y_j - x_i) is that of w y_j less the sum of w, as it was rounded to T, times x_i.
    const RowMatrix<double> sums = RowSums(weights, executor_);
    const auto subtract_own = [&](int64_t row, int64_t begin, int64_t count, double* elements) {
      const double sum = sums(row, 0);
      for (int64_t k = 0; k < count; ++k) elements[k] -= sum * static_cast<double>(own.at(row, begin + k));
    };
    WriteWeightedSums<T, Scalar>(weights, columns, grad, executor_, subtract_own);
  }

  const MatrixView<Scalar>& x_;
  const MatrixView<Scalar>& y_;
  const bool symmetric_;
  const Kernel& kernel_;
  Executor& executor_;
  const CentreRow<T> centre_;
  // For distances, all rows are moved by the same; their differences do not notice.
  const Operand x_operand_;
  const Operand y_operand_;
};

// A null `y` is x, and `grad_y` null then.
template <typename T, typename Scalar>
void Evaluate(const MatrixView<Scalar>& x, const MatrixView<Scalar>* y, const Kernel& kernel,
              const MatrixView<Scalar>& grad_output, MutableMatrixView<Scalar>& grad_x,
              MutableMatrixView<Scalar>* grad_y, Executor& executor) {
  const DenseVjp<T, Scalar> vjp(x, y, kernel, executor);
  const PairWeights<T> weights = vjp.Weights(grad_output);
  vjp.WriteGradX(weights, grad_x);
  if (grad_y != nullptr) vjp.WriteGradY(weights, *grad_y);
}

template <typename Scalar>
absl::Status CheckAndEvaluate(const MatrixView<Scalar>& x, const MatrixView<Scalar>* y, const Kernel& kernel,
                              const MatrixView<Scalar>& grad_output, MutableMatrixView<Scalar>& grad_x,
                              MutableMatrixView<Scalar>* grad_y, Executor& executor) {
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  const int64_t y_rows = y == nullptr ? x.rows() : y->rows();
  const auto check = [](const char* field, const auto& matrix, int64_t rows, int64_t cols) -> absl::Status {
    if (matrix.rows() == rows && matrix.cols() == cols) return absl::OkStatus();
    return InvalidField(field, ShapeString({matrix.rows(), matrix.cols()}), ShapeString({rows, cols}));
  };
  if (y != nullptr && y->cols() != x.cols()) {
    return InvalidField("y", ShapeString({y->rows(), y->cols()}), absl::StrCat(x.cols(), " columns, as x has"));
  }
  if (absl::Status s = check("grad_output", grad_output, x.rows(), y_rows); !s.ok()) return s;
  if (absl::Status s = check("grad_x", grad_x, x.rows(), x.cols()); !s.ok()) return s;
  if (grad_y != nullptr) {
    if (absl::Status s = check("grad_y", *grad_y, y_rows, x.cols()); !s.ok()) return s;
  }
  if (InDouble<Scalar>(x.rows(), y_rows, x.cols())) {
    Evaluate<double, Scalar>(x, y, kernel, grad_output, grad_x, grad_y, executor);
  } else {
    Evaluate<Scalar, Scalar>(x, y, kernel, grad_output, grad_x, grad_y, executor);
  }
  return absl::OkStatus();
}

}  // namespace

template <typename Scalar>
absl::Status KernelDotProductVjp(MatrixView<Scalar> x, MatrixView<Scalar> y, const Kernel& kernel,
                                 MatrixView<Scalar> grad_output, MutableMatrixView<Scalar> grad_x,
                                 MutableMatrixView<Scalar> grad_y, Executor& executor) {
  return CheckAndEvaluate<Scalar>(x, &y, kernel, grad_output, grad_x, &grad_y, executor);
}

template <typename Scalar>
absl::Status KernelDotProductVjp(MatrixView<Scalar> x, const Kernel& kernel, MatrixView<Scalar> grad_output,
                                 MutableMatrixView<Scalar> grad_x, Executor& executor) {
  return CheckAndEvaluate<Scalar>(x, nullptr, kernel, grad_output, grad_x, nullptr, executor);
}

template absl::Status KernelDotProductVjp(MatrixView<float>, MatrixView<float>, const Kernel&, MatrixView<float>,
                                          MutableMatrixView<float>, MutableMatrixView<float>, Executor&);
template absl::Status KernelDotProductVjp(MatrixView<double>, MatrixView<double>, const Kernel&, MatrixView<double>,
                                          MutableMatrixView<double>, MutableMatrixView<double>, Executor&);
template absl::Status KernelDotProductVjp(MatrixView<float>, const Kernel&, MatrixView<float>, MutableMatrixView<float>,
                                          Executor&);
template absl::Status KernelDotProductVjp(MatrixView<double>, const Kernel&, MatrixView<double>,
                                          MutableMatrixView<double>, Executor&);

}  // namespace spikeserve

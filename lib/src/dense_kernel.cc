#include "dense_kernel.h"

#include <algorithm>
#include <optional>
#include <type_traits>

#include "aligned_buffer.h"
#include "kernel_function.h"
#include "kernel_result.h"
#include "operands.h"
#include "row_products.h"
#include "squared_distance.h"
#include "stop_check.h"
#include "tile_grid.h"

namespace spikeserve {

namespace {

// The kernel of the products of x and y.
template <typename T, typename Scalar>
void EvaluateTiles(const RowProducts<T>& products, const MatrixView<Scalar>& x, const MatrixView<Scalar>& y,
                   bool symmetric, const Kernel& kernel, MutableMatrixView<Scalar> ret, Executor& executor) {
  // The multiplications that take as long as the rest of a pair's work.
  constexpr double kPairCost = 50;
  const bool distances = TakesDistance(kernel);
  const TileGrid grid(ret.rows(), ret.cols(), symmetric);
  const int64_t side = grid.side();
  const double cost = static_cast<double>(side * side) * (static_cast<double>(x.cols()) + kPairCost);
  executor.ParallelFor(grid.count(), Grain(cost), [&](int64_t begin, int64_t end) {
    AlignedBuffer<double> tile_values(side * side);
    AlignedBuffer<Scalar> values(side * side);
    StopCheck stop(executor);
    for (int64_t index = begin; index < end; ++index) {
      const auto [rows, cols] = grid.at(index);
      if (!products.Tile(rows, cols, tile_values.data(), side)) return;
      for (int64_t r = 0; r < rows.count; ++r) {
        double* row = tile_values.data() + r * side;
        if (distances && !ToSquaredDistances<T, Scalar>(products, x, y, rows.begin + r, cols, row, stop)) return;
        EvaluateKernel(kernel, row, cols.count);
        std::copy_n(row, cols.count, values.data() + r * side);
      }
      WriteTile<Scalar>({rows, cols}, grid.symmetric(), values.data(), side, ret);
    }
  });
}

}  // namespace

template <typename T, typename Scalar>
void DenseKernel(const MatrixView<Scalar>& x, const MatrixView<Scalar>* y, const Kernel& kernel,
                 MutableMatrixView<Scalar> ret, Executor& executor) {
  using Operand = DenseOperand<T, Scalar>;
  const MatrixView<Scalar>& other = y == nullptr ? x : *y;
  const CentreRow<T> centre = Centre<T, Scalar>(kernel, x, other, executor);
  const Operand x_operand(x, centre);
  const Operand y_operand(other, centre);
  const RowProducts<T> products(x_operand, y == nullptr ? nullptr : &y_operand, TakesDistance(kernel), executor);
  EvaluateTiles<T, Scalar>(products, x, other, y == nullptr, kernel, ret, executor);
}

template <typename Scalar>
PackedDense<Scalar>::PackedDense(const MatrixView<Scalar>& y, const Kernel& kernel, Executor& executor)
    : centre(Centre<Scalar, Scalar>(kernel, y, y, executor)),
      rows(DenseOperand<Scalar, Scalar>(y, centre), TakesDistance(kernel), executor) {}

template <typename Scalar>
void DenseKernel(const MatrixView<Scalar>& x, const MatrixView<Scalar>& y, const PackedDense<Scalar>& packed,
                 const Kernel& kernel, MutableMatrixView<Scalar> ret, Executor& executor) {
  const RowProducts<Scalar> products(DenseOperand<Scalar, Scalar>(x, packed.centre), packed.rows, executor);
  EvaluateTiles<Scalar, Scalar>(products, x, y, /*symmetric=*/false, kernel, ret, executor);
}

template struct PackedDense<float>;
template struct PackedDense<double>;
template void DenseKernel(const MatrixView<float>&, const MatrixView<float>&, const PackedDense<float>&, const Kernel&,
                          MutableMatrixView<float>, Executor&);
template void DenseKernel(const MatrixView<double>&, const MatrixView<double>&, const PackedDense<double>&,
                          const Kernel&, MutableMatrixView<double>, Executor&);
template void DenseKernel<float>(const MatrixView<float>&, const MatrixView<float>*, const Kernel&,
                                 MutableMatrixView<float>, Executor&);
template void DenseKernel<double>(const MatrixView<float>&, const MatrixView<float>*, const Kernel&,
                                  MutableMatrixView<float>, Executor&);
template void DenseKernel<double>(const MatrixView<double>&, const MatrixView<double>*, const Kernel&,
                                  MutableMatrixView<double>, Executor&);

}  // namespace spikeserve

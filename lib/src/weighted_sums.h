// Internal: weighted sums of the rows of a matrix, which the gradients of kernels are.

#ifndef SPIKESERVE_COMPUTE_SRC_WEIGHTED_SUMS_H_
#define SPIKESERVE_COMPUTE_SRC_WEIGHTED_SUMS_H_

#include <algorithm>
#include <cstdint>

#include "aligned_buffer.h"
#include "panels.h"
#include "simd/panel_product.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"
#include "tile_grid.h"

namespace spikeserve {

// ret row i = the sum over j of weights[i][j] * row j of a matrix, of which row k of `columns` is column k. Summed as
// simd::AddPanelProduct does. Before a sum is rounded to Scalar, finish(i, begin, count, sums) may change those of row
// i and the columns begin ... begin + count - 1; it is called from several threads.
template <typename T, typename Scalar, class Finish>
void WriteWeightedSums(const Panels<T>& weights, const Panels<T>& columns, MutableMatrixView<Scalar> ret,
                       Executor& executor, const Finish& finish) {
  constexpr int64_t kRows = 64;
  constexpr int64_t kColumns = 192;
  const int64_t across = (columns.rows() + kColumns - 1) / kColumns;
  const int64_t down = (weights.rows() + kRows - 1) / kRows;
  // The multiplications that take as long as the rest of a tile's work.
  constexpr double kTileCost = 1e5;
  const double cost = kTileCost + static_cast<double>(kRows * std::min(kColumns, columns.rows()) * weights.depth());
  executor.ParallelFor(down * across, Grain(cost), [&](int64_t first, int64_t end) {
    AlignedBuffer<double> tile(kRows * kColumns);
    for (int64_t index = first; index < end; ++index) {
      const int64_t row = index / across * kRows;
      const int64_t column = index % across * kColumns;
      const simd::RowRange rows{row, std::min(kRows, weights.rows() - row)};
      const simd::RowRange cols{column, std::min(kColumns, columns.rows() - column)};
      std::fill_n(tile.data(), kRows * kColumns, 0.0);
      if (!simd::AddPanelProduct(weights, rows, columns, cols, tile.data(), kColumns, executor)) return;
      for (int64_t r = 0; r < rows.count; ++r) {
        double* sums = tile.data() + r * kColumns;
        finish(row + r, column, cols.count, sums);
        std::copy_n(sums, cols.count, &ret(row + r, column));
      }
    }
  });
}

template <typename T, typename Scalar>
void WriteWeightedSums(const Panels<T>& weights, const Panels<T>& columns, MutableMatrixView<Scalar> ret,
                       Executor& executor) {
  WriteWeightedSums<T, Scalar>(weights, columns, ret, executor, [](int64_t, int64_t, int64_t, double*) {});
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_WEIGHTED_SUMS_H_

#include "matrix_product.h"

#include <algorithm>

namespace spikeserve {

void ParallelMatrixProduct(const LeftOperand& a, const RightOperand& b, int64_t rows, int64_t columns, int64_t depth,
                           ProductStart start, const float* row_start, float* c, int64_t c_stride, Executor& executor) {
  // The most multiplications of a tile that can be smaller: so many take some milliseconds, and whether the product is
  // still wanted is asked between tiles.
  constexpr int64_t kMaxTileWork = 1 << 27;
  // The multiplications that are worth a thread.
  constexpr int64_t kGrain = 1 << 18;
  if (rows == 0 || columns == 0) return;
  int64_t tile_rows = 32;
  int64_t tile_columns = 256;
  const auto work = [&] { return tile_rows * std::min(columns, tile_columns) * std::max<int64_t>(1, depth); };
  while (tile_rows > 8 && work() > kMaxTileWork) tile_rows /= 2;
  while (tile_columns > 32 && work() > kMaxTileWork) tile_columns /= 2;
  const int64_t across = (columns + tile_columns - 1) / tile_columns;
  const int64_t down = (rows + tile_rows - 1) / tile_rows;
  const int64_t tile_work = work();
  executor.ParallelFor(down * across, std::max<int64_t>(1, kGrain / tile_work), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t i = tile / across * tile_rows;
      const int64_t j = tile % across * tile_columns;
      simd::MatrixProduct({a.data + i * a.row_stride, a.row_stride, a.depth_stride}, {b.data + j, b.row_stride},
                          std::min(tile_rows, rows - i), std::min(tile_columns, columns - j), depth, start,
                          row_start == nullptr ? nullptr : row_start + j, c + i * c_stride + j, c_stride);
    }
  });
}

}  // namespace spikeserve

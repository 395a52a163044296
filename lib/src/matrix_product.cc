#include "matrix_product.h"

#include <algorithm>

namespace spikeserve {

void ParallelMatrixProduct(const LeftOperand& a, const RightOperand& b, int64_t rows, int64_t columns, int64_t depth,
                           ProductStart start, const float* row_start, float* c, int64_t c_stride, Executor& executor) {
  constexpr int64_t kTileRows = 32;
  constexpr int64_t kTileColumns = 256;
  // The multiplications that are worth a thread.
  constexpr int64_t kGrain = 1 << 18;
  if (rows == 0 || columns == 0) return;
  const int64_t across = (columns + kTileColumns - 1) / kTileColumns;
  const int64_t down = (rows + kTileRows - 1) / kTileRows;
  const int64_t tile_work = kTileRows * std::min(columns, kTileColumns) * std::max<int64_t>(1, depth);
  executor.ParallelFor(down * across, std::max<int64_t>(1, kGrain / tile_work), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t i = tile / across * kTileRows;
      const int64_t j = tile % across * kTileColumns;
      simd::MatrixProduct({a.data + i * a.row_stride, a.row_stride, a.depth_stride}, {b.data + j, b.row_stride},
                          std::min(kTileRows, rows - i), std::min(kTileColumns, columns - j), depth, start,
                          row_start == nullptr ? nullptr : row_start + j, c + i * c_stride + j, c_stride);
    }
  });
}

}  // namespace spikeserve

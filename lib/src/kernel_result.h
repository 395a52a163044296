// Internal: how a tile's values get into the result.

#ifndef SPIKESERVE_COMPUTE_SRC_KERNEL_RESULT_H_
#define SPIKESERVE_COMPUTE_SRC_KERNEL_RESULT_H_

#include <algorithm>
#include <cstdint>

#include "simd/transpose.h"
#include "spikeserve/compute/matrix.h"
#include "tile_grid.h"

namespace spikeserve {

// ret[rows.begin + r][cols.begin + c] = values[r * stride + c] and, of a symmetric result, the same on the other side
// of the diagonal.
template <typename Scalar>
void WriteTile(const TileGrid::Tile& tile, bool symmetric, const Scalar* values, int64_t stride,
               MutableMatrixView<Scalar>& ret) {
  const auto& [rows, cols] = tile;
  for (int64_t r = 0; r < rows.count; ++r) {
    std::copy_n(values + r * stride, cols.count, &ret(rows.begin + r, cols.begin));
  }
  if (!symmetric || rows.begin == cols.begin) return;
  simd::Transpose(values, stride, rows.count, cols.count, static_cast<const Scalar*>(nullptr),
                  &ret(cols.begin, rows.begin), ret.outerStride());
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_KERNEL_RESULT_H_

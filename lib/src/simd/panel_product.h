// Products of the rows of two matrices in panels: the loop in which kernels spend their time.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_PANEL_PRODUCT_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_PANEL_PRODUCT_H_

#include <cstdint>

#include "panels.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve::simd {

// Rows begin ... begin + count - 1 of a matrix in panels; `begin` is a multiple of Panels<T>::kLanes.
struct RowRange {
  int64_t begin;
  int64_t count;
};

// Adds to tile[r * stride + c] the product of row rows.begin + r of x and row cols.begin + c of y. Both matrices have
// the same depth. The tile has room for whole panels, in both directions: what is added beyond the ranges is of no use.
//
// float: the products are summed in float by runs of kFloatRun steps, with fused multiply-adds where the machine has
// them; the sums of the runs are added in double. double: summed in double.
// uint64_t: the bits that both rows have; exact, for less than 2^31 of them.
// A sum depends on the two rows only: not on their places, nor on the tile. Returns false if the executor has stopped
// before the end.
inline constexpr int64_t kFloatRun = 256;
[[nodiscard]] bool AddPanelProduct(const Panels<float>& x, RowRange rows, const Panels<float>& y, RowRange cols,
                                   double* tile, int64_t stride, Executor& executor);
[[nodiscard]] bool AddPanelProduct(const Panels<double>& x, RowRange rows, const Panels<double>& y, RowRange cols,
                                   double* tile, int64_t stride, Executor& executor);
[[nodiscard]] bool AddPanelProduct(const Panels<uint64_t>& x, RowRange rows, const Panels<uint64_t>& y, RowRange cols,
                                   int32_t* tile, int64_t stride, Executor& executor);

// Adds to norms[i], for all rows, the square of row i: the sum in double, or the number of its ones.
void AddSquaredNorms(const Panels<float>& panels, double* norms, Executor& executor);
void AddSquaredNorms(const Panels<double>& panels, double* norms, Executor& executor);
void AddSquaredNorms(const Panels<uint64_t>& panels, int32_t* norms, Executor& executor);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_PANEL_PRODUCT_H_

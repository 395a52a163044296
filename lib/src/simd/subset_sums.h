// Products of a matrix of bits with one of floats: sums of subsets.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_SUBSET_SUMS_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_SUBSET_SUMS_H_

#include <cstdint>

#include "bit_blocks.h"
#include "panels.h"
#include "simd/panel_product.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve::simd {

// sums[r * kLanes + lane] = the sum of y's elements of that lane over the depth at which row rows.begin + r of x has a
// one, for r < rows.count rounded up to kSubsetRows; rows.begin is a multiple of it. `y` is a panel,
// [x.depth()][kLanes], with kLanes = Panels<T>::kLanes, aligned to 64 bytes.
//
// The method of the four Russians: of each six steps of depth the sums of all 64 subsets are tabulated, and a row then
// adds one of them where a product would take six steps. Tables are worth their cost for some hundred rows. Sums are
// added up over runs of 16 blocks, then the runs; there are only additions, in an order that is the same on every
// machine. Returns false if the executor has stopped before the end.
inline constexpr int64_t kSubsetRows = 8;
[[nodiscard]] bool SubsetSums(const BitBlocks& x, RowRange rows, const float* y, float* sums, Executor& executor);
[[nodiscard]] bool SubsetSums(const BitBlocks& x, RowRange rows, const double* y, double* sums, Executor& executor);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_SUBSET_SUMS_H_

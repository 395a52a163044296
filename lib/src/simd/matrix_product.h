// Products of float matrices whose bits depend neither on how they are cut into tiles nor on the machine.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_MATRIX_PRODUCT_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_MATRIX_PRODUCT_H_

#include <cstdint>

namespace spikeserve::simd {

// Element (i, k) of the left operand is data[i * row_stride + k * depth_stride].
struct LeftOperand {
  const float* data;
  int64_t row_stride;
  int64_t depth_stride;
};

// Element (k, j) of the right operand is data[k * row_stride + j].
struct RightOperand {
  const float* data;
  int64_t row_stride;
};

// c[i * c_stride + j] = start(i, j) + the sum over k < depth of a(i, k) b(k, j), for i < rows and j < columns.
//
// kOntoRow: the start is row_start[j], or 0 where that is null, and the terms are added to it in the order of k.
// kOntoResult: the start is what c holds; the terms are summed by runs of kProductRun, each from 0 on, and the runs'
// sums are added to c in their order.
// Products are rounded before they are added (no fused multiply-adds). Terms with a(i, k) = 0 may be left out, which
// only shows where b is not finite; an operand with few others takes accordingly less time.
enum class ProductStart { kOntoRow, kOntoResult };
inline constexpr int64_t kProductRun = 256;
void MatrixProduct(const LeftOperand& a, const RightOperand& b, int64_t rows, int64_t columns, int64_t depth,
                   ProductStart start, const float* row_start, float* c, int64_t c_stride);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_MATRIX_PRODUCT_H_

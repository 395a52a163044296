// What the elements of a plane add to rows of numbers: convolutions as the work of their inputs that are not 0.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_TAP_PRODUCTS_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_TAP_PRODUCTS_H_

#include <cstdint>

namespace spikeserve::simd {

// Parts of the offsets of a row that is read and of one that is added to.
struct Tap {
  int64_t from;
  int64_t to;
};

// The taps of an index of a plane's row or column: `first`, and `count` in all, each AxisTaps::step further.
struct TapRun {
  int64_t count;
  Tap first;
};

// The taps of the indices 0 ... count - 1.
struct AxisTaps {
  int64_t count;
  const TapRun* runs;
  Tap step;
};

// Rows that are added to have room for a multiple of so many elements; what is behind their end is undefined.
inline constexpr int64_t kTapLanes = 16;

// For each element x = plane[y * plane_stride + z] that is not 0, row by row, and each pair of a tap r of y and c of z:
// to[r.to + c.to + n] += x * from[r.from + c.from + n], for n < size. Products are rounded before they are added.
void AddTapProducts(const float* plane, int64_t plane_stride, const AxisTaps& rows, const AxisTaps& columns,
                    const float* from, float* to, int64_t size);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_TAP_PRODUCTS_H_

// Internal: operands of kernel products, laid out for vectors.

#ifndef SPIKESERVE_COMPUTE_SRC_PANELS_H_
#define SPIKESERVE_COMPUTE_SRC_PANELS_H_

#include <cstdint>

#include "aligned_buffer.h"

namespace spikeserve {

// A matrix [rows, depth] of T in panels of kLanes rows; a panel has, for each step of depth, the elements of its rows
// beside each other: 64 bytes, which one vector register holds or several do. The lanes beyond the last row are zeros.
// T is float, double, or uint64_t, 64 columns of a matrix of bits.
template <typename T>
class Panels {
 public:
  static constexpr int64_t kLanes = 64 / static_cast<int64_t>(sizeof(T));

  // Uninitialised, also the lanes beyond the last row.
  Panels(int64_t rows, int64_t depth) : rows_(rows), depth_(depth), elements_(count() * depth * kLanes) {}

  int64_t rows() const { return rows_; }
  int64_t depth() const { return depth_; }
  // Panels.
  int64_t count() const { return (rows_ + kLanes - 1) / kLanes; }
  // Element k * kLanes + lane of panel p is that of row p * kLanes + lane at depth k.
  const T* panel(int64_t p) const { return elements_.data() + p * depth_ * kLanes; }
  T* panel(int64_t p) { return elements_.data() + p * depth_ * kLanes; }

 private:
  int64_t rows_;
  int64_t depth_;
  AlignedBuffer<T> elements_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_PANELS_H_

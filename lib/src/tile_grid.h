// Internal: how a matrix of results is cut into pieces of work.

#ifndef SPIKESERVE_COMPUTE_SRC_TILE_GRID_H_
#define SPIKESERVE_COMPUTE_SRC_TILE_GRID_H_

#include <algorithm>
#include <cstdint>

#include "simd/panel_product.h"

namespace spikeserve {

// Tiles that cover a matrix [rows, cols] or, of a symmetric one, what is on and above the diagonal.
class TileGrid {
 public:
  struct Tile {
    simd::RowRange rows;
    simd::RowRange cols;
  };

  // Tiles are as large as they can be while there are enough of them for many threads. (Their size depends on nothing
  // but the shape, and nothing but the speed on their size.)
  TileGrid(int64_t rows, int64_t cols, bool symmetric) : rows_(rows), cols_(cols), symmetric_(symmetric) {
    constexpr int64_t kEnough = 64;
    while (side_ > kMinSide && count() < kEnough) side_ /= 2;
  }

  // The rows and columns of a tile, but for the last ones; a multiple of any Panels<T>::kLanes.
  int64_t side() const { return side_; }
  bool symmetric() const { return symmetric_; }
  int64_t count() const { return symmetric_ ? Across(rows_) * (Across(rows_) + 1) / 2 : Across(rows_) * Across(cols_); }

  // 0 <= index < count().
  Tile at(int64_t index) const {
    int64_t i = 0;
    int64_t j = 0;
    if (symmetric_) {
      for (int64_t left = Across(rows_); index >= left; --left, ++i) index -= left;
      j = i + index;
    } else {
      i = index / Across(cols_);
      j = index % Across(cols_);
    }
    return {{i * side_, std::min(side_, rows_ - i * side_)}, {j * side_, std::min(side_, cols_ - j * side_)}};
  }

 private:
  static constexpr int64_t kMinSide = 48;

  int64_t Across(int64_t count) const { return (count + side_ - 1) / side_; }

  int64_t side_ = 192;
  int64_t rows_;
  int64_t cols_;
  bool symmetric_;
};

// The indices that a thread should take at least, of which each costs so many multiplications and additions of floats,
// or as much time. Less than some tens of microseconds is not worth to wake up a thread.
inline int64_t Grain(double cost) {
  constexpr double kWorthIt = 2e6;
  return static_cast<int64_t>(std::max(1.0, std::min(1e9, kWorthIt / std::max(cost, 1.0))));
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_TILE_GRID_H_

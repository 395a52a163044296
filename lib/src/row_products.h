// Internal: the products of all pairs of rows of two matrices, tile by tile.

#ifndef SPIKESERVE_COMPUTE_SRC_ROW_PRODUCTS_H_
#define SPIKESERVE_COMPUTE_SRC_ROW_PRODUCTS_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "operands.h"
#include "panels.h"
#include "simd/panel_product.h"
#include "spikeserve/compute/executor.h"
#include "stop_check.h"

namespace spikeserve {

using simd::RowRange;

// Products are exact counts of bits, or sums.
template <typename T>
using ProductSum = std::conditional_t<std::is_same_v<T, uint64_t>, int32_t, double>;

// Rows laid out in panels, with their squares if they are wanted.
template <typename T>
struct PackedRows {
  template <class Operand>
  PackedRows(const Operand& rows, bool with_norms, Executor& executor)
      : panels(rows.Pack(0, rows.depth(), executor)),
        with_norms(with_norms),
        norms(Filled(with_norms ? rows.rows() : 0, ProductSum<T>{0}, executor)) {
    if (with_norms) simd::AddSquaredNorms(panels, norms.data(), executor);
  }

  Panels<T> panels;
  bool with_norms;
  std::vector<ProductSum<T>> norms;
};

// Lays the operands out in panels once, and multiplies any tile of them (simd::AddPanelProduct). For a few rows, whose
// panels would be mostly padding, all products are computed at once, from a piece of depth after the other.
//
// Thread rule: const calls are safe from several threads. The executor must outlive this.
template <typename T>
class RowProducts {
 public:
  static constexpr int64_t kLanes = Panels<T>::kLanes;
  using Sum = ProductSum<T>;

  // `x` by `y` or, where `y` is null, by itself. T is the operands' Element. With `norms` also the squares of the rows.
  template <class Operand>
  RowProducts(const Operand& x, const Operand* y, bool norms, Executor& executor)
      : executor_(executor),
        x_norms_(Filled(norms ? x.rows() : 0, Sum{0}, executor)),
        y_norms_(Filled(norms && y != nullptr ? y->rows() : 0, Sum{0}, executor)),
        symmetric_(y == nullptr) {
    const int64_t depth = x.depth();
    const int64_t y_rows = y == nullptr ? x.rows() : y->rows();
    const bool few = x.rows() <= kLanes && y_rows <= kLanes;
    if (few) products_.assign(static_cast<size_t>(kLanes * kLanes), Sum{0});
    // All of it at once but for a few rows; then by multiples of simd::kFloatRun, as the sums depend on them.
    const int64_t piece = few ? kFewDepth : std::max<int64_t>(1, depth);
    for (int64_t k = 0; k < std::max<int64_t>(1, depth); k += piece) {
      if (k > 0 && executor.Stopped()) return;
      const int64_t count = std::min(piece, depth - k);
      x_.emplace(x.Pack(k, count, executor));
      if (y != nullptr) y_.emplace(y->Pack(k, count, executor));
      if (norms) simd::AddSquaredNorms(*x_, x_norms_.data(), executor);
      if (norms && y != nullptr) simd::AddSquaredNorms(*y_, y_norms_.data(), executor);
      if (!few) continue;
      if (!simd::AddPanelProduct(*x_, {0, x.rows()}, y_panels(), {0, y_rows}, products_.data(), kLanes, executor)) {
        return;
      }
    }
  }

  // `x` by `y`, which must outlive this.
  template <class Operand>
  RowProducts(const Operand& x, const PackedRows<T>& y, Executor& executor)
      : executor_(executor),
        x_(x.Pack(0, x.depth(), executor)),
        x_norms_(Filled(y.with_norms ? x.rows() : 0, Sum{0}, executor)),
        symmetric_(false),
        packed_y_(&y) {
    if (y.with_norms) simd::AddSquaredNorms(*x_, x_norms_.data(), executor);
  }

  // Of rows.count * cols.count products, at tile[r * stride + c]; the ranges begin at multiples of kLanes, and the tile
  // has room for whole panels in both directions. Returns false if the executor has stopped before the end.
  [[nodiscard]] bool Tile(RowRange rows, RowRange cols, Sum* tile, int64_t stride) const {
    if (!products_.empty()) {
      for (int64_t r = 0; r < rows.count; ++r)
        std::copy_n(products_.data() + r * kLanes, cols.count, tile + r * stride);
      return true;
    }
    for (int64_t r = 0; r < RoundUp(rows.count); ++r) std::fill_n(tile + r * stride, RoundUp(cols.count), Sum{0});
    if (!symmetric_ || rows.begin != cols.begin || rows.count != cols.count) {
      return simd::AddPanelProduct(*x_, rows, y_panels(), cols, tile, stride, executor_);
    }
    // On the diagonal the products below it are those above.
    for (int64_t band = 0; band < rows.count; band += kBand) {
      if (!simd::AddPanelProduct(*x_, {rows.begin + band, std::min(kBand, rows.count - band)}, *x_,
                                 {cols.begin + band, cols.count - band}, tile + band * stride + band, stride,
                                 executor_)) {
        return false;
      }
    }
    for (int64_t r = 1; r < rows.count; ++r) {
      for (int64_t c = 0; c < r; ++c) tile[r * stride + c] = tile[c * stride + r];
    }
    return true;
  }

  Executor& executor() const { return executor_; }

  // |x_i|^2 and |y_j|^2, if they were wanted.
  const std::vector<Sum>& x_norms() const { return x_norms_; }
  const std::vector<Sum>& y_norms() const {
    return packed_y_ != nullptr ? packed_y_->norms : symmetric_ ? x_norms_ : y_norms_;
  }

  static int64_t RoundUp(int64_t rows) { return (rows + kLanes - 1) / kLanes * kLanes; }

 private:
  static constexpr int64_t kFewDepth = 64 * simd::kFloatRun;
  // Rows that are multiplied at once along the diagonal.
  static constexpr int64_t kBand = 3 * kLanes;

  const Panels<T>& y_panels() const { return packed_y_ != nullptr ? packed_y_->panels : symmetric_ ? *x_ : *y_; }

  Executor& executor_;
  std::optional<Panels<T>> x_;
  std::optional<Panels<T>> y_;
  std::vector<Sum> x_norms_;
  std::vector<Sum> y_norms_;
  bool symmetric_;
  const PackedRows<T>* packed_y_ = nullptr;
  // [kLanes, kLanes] for a few rows, else empty.
  std::vector<Sum> products_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_ROW_PRODUCTS_H_

#include "bit_kernel.h"

#include <algorithm>
#include <optional>
#include <variant>
#include <vector>

#include "aligned_buffer.h"
#include "kernel_function.h"
#include "kernel_result.h"
#include "operands.h"
#include "row_products.h"
#include "tile_grid.h"

namespace spikeserve {
namespace {

using Products = RowProducts<uint64_t>;

// A kernel of numbers of common ones and, for distances, of the ones of both rows. Where there are more pairs than
// values that the argument can have, the values are looked up.
template <typename Scalar>
class IntegerKernel {
 public:
  IntegerKernel(const Kernel& kernel, const Products& products, int64_t pairs, Executor& executor)
      : kernel_(kernel),
        linear_(std::holds_alternative<LinearKernel>(kernel)),
        distances_(TakesDistance(kernel)),
        x_ones_(products.x_norms()),
        y_ones_(products.y_norms()) {
    if (linear_) return;
    const int64_t x_max = MostOnes(x_ones_, executor);
    const int64_t y_max = MostOnes(y_ones_, executor);
    const int64_t max = distances_ ? x_max + y_max : std::min(x_max, y_max);
    if (max >= pairs || executor.Stopped()) return;
    const std::vector<double> table = KernelTable(kernel, max, executor);
    table_.assign(table.begin(), table.end());
  }

  // values[c] of row i of x and rows j + c of y, which have counts[c] ones in common.
  void operator()(int64_t i, int64_t j, int64_t count, const int32_t* counts, Scalar* values) const {
    if (linear_) {
      std::copy_n(counts, count, values);
    } else if (table_.empty()) {
      double arguments[kPiece];
      for (int64_t begin = 0; begin < count; begin += kPiece) {
        const int64_t n = std::min(kPiece, count - begin);
        for (int64_t c = 0; c < n; ++c) {
          arguments[c] = static_cast<double>(Argument(i, j + begin + c, counts[begin + c]));
        }
        EvaluateKernel(kernel_, arguments, n);
        std::copy_n(arguments, n, values + begin);
      }
    } else if (distances_) {
      for (int64_t c = 0; c < count; ++c) values[c] = table_[Argument(i, j + c, counts[c])];
    } else {
      for (int64_t c = 0; c < count; ++c) values[c] = table_[counts[c]];
    }
  }

 private:
  static constexpr int64_t kPiece = 64;

  // |x_i|^2 + |y_j|^2 - 2 x_i.y_j, or the product.
  int64_t Argument(int64_t i, int64_t j, int64_t common) const {
    return distances_ ? int64_t{x_ones_[i]} + int64_t{y_ones_[j]} - 2 * common : common;
  }

  const Kernel& kernel_;
  const bool linear_;
  const bool distances_;
  const std::vector<int32_t>& x_ones_;
  const std::vector<int32_t>& y_ones_;
  std::vector<Scalar> table_;
};

// Only the values of the linear kernel are looked up, or computed, without the numbers of ones.
bool NeedsNorms(const Kernel& kernel) { return !std::holds_alternative<LinearKernel>(kernel); }

// The kernel of products over so many words.
template <typename Scalar>
void EvaluateTiles(const Products& products, int64_t words, bool symmetric, const Kernel& kernel,
                   MutableMatrixView<Scalar> ret, Executor& executor) {
  // The multiplications of floats that take as long as a word of 64 columns, and as the rest of a pair's work.
  constexpr double kWordCost = 3;
  constexpr double kPairCost = 20;
  const IntegerKernel<Scalar> values_of(kernel, products, ret.rows() * ret.cols(), executor);
  const TileGrid grid(ret.rows(), ret.cols(), symmetric);
  const int64_t side = grid.side();
  const double cost = static_cast<double>(side * side) * (kWordCost * static_cast<double>(words) + kPairCost);
  executor.ParallelFor(grid.count(), Grain(cost), [&](int64_t begin, int64_t end) {
    AlignedBuffer<int32_t> counts(side * side);
    AlignedBuffer<Scalar> values(side * side);
    for (int64_t index = begin; index < end; ++index) {
      const TileGrid::Tile tile = grid.at(index);
      if (!products.Tile(tile.rows, tile.cols, counts.data(), side)) return;
      for (int64_t r = 0; r < tile.rows.count; ++r) {
        values_of(tile.rows.begin + r, tile.cols.begin, tile.cols.count, counts.data() + r * side,
                  values.data() + r * side);
      }
      WriteTile<Scalar>(tile, grid.symmetric(), values.data(), side, ret);
    }
  });
}

}  // namespace

template <typename Scalar>
void BitKernel(const BitMatrixView& x, const BitMatrixView* y, const Kernel& kernel, MutableMatrixView<Scalar> ret,
               Executor& executor) {
  const BitOperand x_operand(x);
  const std::optional<BitOperand> y_operand = y == nullptr ? std::optional<BitOperand>() : BitOperand(*y);
  const Products products(x_operand, y_operand ? &*y_operand : nullptr, NeedsNorms(kernel), executor);
  EvaluateTiles<Scalar>(products, x_operand.depth(), y == nullptr, kernel, ret, executor);
}

PackedBits::PackedBits(const BitMatrixView& y, const Kernel& kernel, Executor& executor)
    : rows(BitOperand(y), NeedsNorms(kernel), executor) {}

template <typename Scalar>
void BitKernel(const BitMatrixView& x, const PackedBits& packed, const Kernel& kernel, MutableMatrixView<Scalar> ret,
               Executor& executor) {
  const BitOperand x_operand(x);
  EvaluateTiles<Scalar>(Products(x_operand, packed.rows, executor), x_operand.depth(), /*symmetric=*/false, kernel, ret,
                        executor);
}

template void BitKernel(const BitMatrixView&, const PackedBits&, const Kernel&, MutableMatrixView<float>, Executor&);
template void BitKernel(const BitMatrixView&, const PackedBits&, const Kernel&, MutableMatrixView<double>, Executor&);
template void BitKernel(const BitMatrixView&, const BitMatrixView*, const Kernel&, MutableMatrixView<float>, Executor&);
template void BitKernel(const BitMatrixView&, const BitMatrixView*, const Kernel&, MutableMatrixView<double>,
                        Executor&);

}  // namespace spikeserve

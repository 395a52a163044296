#include "similar_loss/bit_pairs.h"

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <variant>

#include "bit_words.h"
#include "kernel_function.h"
#include "simd/subset_sums.h"
#include "simd/transpose.h"
#include "stop_check.h"
#include "tile_grid.h"

namespace spikeserve {

template <typename T>
BitPairs<T>::BitPairs(const BitMatrixView& spikes, const Kernel& kernel, LossType loss_type, bool gradient,
                      Executor& executor)
    : spikes_(spikes),
      kernel_(kernel),
      loss_type_(loss_type),
      gradient_(gradient),
      products_(BitOperand(spikes), static_cast<const BitOperand*>(nullptr), /*norms=*/true, executor),
      norms_(SquareRoots(products_.x_norms(), executor)) {
  if (!std::holds_alternative<LinearKernel>(kernel)) MakeTable(executor);
  if (gradient) columns_.emplace(BitBlocks::OfColumns(spikes, executor));
}

template <typename T>
void BitPairs<T>::MakeTable(Executor& executor) {
  const int64_t most = MostOnes(products_.x_norms(), executor);
  const int64_t arguments = (TakesDistance(kernel_) ? 2 * most : most) + 1;
  if (arguments > samples() * samples() || executor.Stopped()) return;
  // The multiplications of floats that take as long as the terms of an argument.
  constexpr double kCost = 2000;
  constexpr int64_t kPiece = PairTerms::kMax;
  const double no_norms[kPiece] = {};
  std::vector<Entry> table = Filled(2 * arguments, Entry{0, 0}, executor);
  std::atomic<bool> defined = true;
  const auto write_piece = [&](int32_t shares, int64_t begin, int64_t count) {
    int32_t shared[kPiece];
    std::fill_n(shared, kPiece, shares);
    double values[kPiece];
    for (int64_t a = 0; a < count; ++a) values[a] = static_cast<double>(begin + a);
    PairTerms terms;
    EvaluatePairs(kernel_, loss_type_, values, shared, no_norms, 0, count, gradient_, terms);
    for (int64_t a = 0; a < count; ++a) {
      if (IsOutside(loss_type_, terms.similarity[a])) defined.store(false, std::memory_order_relaxed);
      table[2 * (begin + a) + shares] = {terms.loss[a], gradient_ ? terms.other[a] : 0};
    }
  };
  executor.ParallelFor(arguments, Grain(kCost), [&](int64_t first, int64_t end) {
    for (int64_t begin = first; begin < end && defined.load(std::memory_order_relaxed); begin += kPiece) {
      for (const int32_t shares : {0, 1}) write_piece(shares, begin, std::min(kPiece, end - begin));
    }
  });
  if (defined) table_ = std::move(table);
}

template <typename T>
void BitPairs<T>::Terms(int64_t j, RowRange is, const Tile& tile, int64_t row, const int32_t* shared,
                        PairTerms& terms) const {
  const int32_t* common = tile.common.data() + row * PairTerms::kMax;
  const int32_t* ones = products_.x_norms().data() + is.begin;
  int64_t arguments[PairTerms::kMax];
  if (TakesDistance(kernel_)) {
    const int64_t own = products_.x_norms()[j];
    for (int64_t i = 0; i < is.count; ++i) arguments[i] = own + ones[i] - 2 * int64_t{common[i]};
  } else {
    std::copy_n(common, is.count, arguments);
  }
  if (table_.empty()) {
    double values[PairTerms::kMax];
    std::copy_n(arguments, is.count, values);
    EvaluatePairs(kernel_, loss_type_, values, shared, norms_.data() + is.begin, norms_[j], is.count, gradient_, terms);
    return;
  }
  // Of the kernels with a table only the gaussian has a derivative with respect to the sample itself.
  const double self = TakesDistance(kernel_) ? -1 : 0;
  for (int64_t i = 0; i < is.count; ++i) {
    const Entry& entry = table_[2 * arguments[i] + (shared[i] != 0)];
    terms.loss[i] = entry.loss;
    terms.self[i] = self * entry.other;
    terms.other[i] = entry.other;
  }
}

template <typename T>
template <typename Scalar>
void BitPairs<T>::WriteGradient(RowRange is, const Panels<T>& gradient, MutableMatrixView<Scalar>& grad,
                                Executor& executor) const {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  // Columns at a time: so many that tables of sums pay, so few that the sums stay in the second-level cache.
  constexpr int64_t kColumns = 2048;
  const int64_t pieces = (depth() + kColumns - 1) / kColumns;
  // A sum of subsets takes a quarter of the time of products.
  const double cost = static_cast<double>(std::min(kColumns, depth()) * kLanes * samples()) / 4;
  executor.ParallelFor(gradient.count() * pieces, Grain(cost), [&](int64_t begin, int64_t end) {
    AlignedBuffer<T> sums(kColumns * kLanes);
    for (int64_t index = begin; index < end; ++index) {
      // Panel after panel for the same columns, which so stay in the cache.
      const int64_t panel = index % gradient.count();
      const int64_t column = index / gradient.count() * kColumns;
      const int64_t count = std::min(kColumns, depth() - column);
      const int64_t rows = std::min(kLanes, is.count - panel * kLanes);
      if (!simd::SubsetSums(*columns_, {column, count}, gradient.panel(panel), sums.data(), executor)) return;
      Scalar* out = &grad(is.begin + panel * kLanes, column);
      if constexpr (std::is_same_v<T, Scalar>) {
        simd::Transpose(sums.data(), kLanes, count, rows, static_cast<const T*>(nullptr), out, grad.outerStride());
      } else {
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t k = 0; k < count; ++k) {
            out[r * grad.outerStride() + k] = static_cast<Scalar>(sums.data()[k * kLanes + r]);
          }
        }
      }
    }
  });
}

template class BitPairs<float>;
template class BitPairs<double>;
template void BitPairs<float>::WriteGradient(RowRange, const Panels<float>&, MutableMatrixView<float>&,
                                             Executor&) const;
template void BitPairs<double>::WriteGradient(RowRange, const Panels<double>&, MutableMatrixView<float>&,
                                              Executor&) const;
template void BitPairs<double>::WriteGradient(RowRange, const Panels<double>&, MutableMatrixView<double>&,
                                              Executor&) const;

}  // namespace spikeserve

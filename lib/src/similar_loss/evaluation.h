// Internal: the loss of all pairs of samples, whatever the samples are made of.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_EVALUATION_H_
#define SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_EVALUATION_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "aligned_buffer.h"
#include "bit_words.h"
#include "operands.h"
#include "panels.h"
#include "row_products.h"
#include "similar_loss/pair_loss.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"
#include "stop_check.h"
#include "tile_grid.h"

namespace spikeserve {

// One evaluation of the loss and, if it is wanted, the gradient. Pairs is BitPairs or DensePairs; what is said below of
// rows and columns is of the matrix of pairs, in which column i has the pairs whose gradient is sample i's.
//
// The pairs are cut into tiles of kRows by PairTerms::kMax. A column's sums are of each tile, row by row, and then over
// the tiles in order: they do not depend on the threads, nor on whether the gradient is wanted. Columns are evaluated a
// block at a time, so that the memory for sums grows with the samples, and not with the pairs. For the gradient the
// factors of all samples are needed for the block's; without it tiles that are wholly above the diagonal are left out.
template <class Pairs, typename Scalar>
class SimilarLossEvaluation {
 public:
  // `grad` may be null.
  SimilarLossEvaluation(const Pairs& pairs, LossType loss_type, const BitMatrixView& labels,
                        MutableMatrixView<Scalar>* grad, Executor& executor)
      : pairs_(pairs),
        loss_type_(loss_type),
        grad_(grad),
        executor_(executor),
        samples_(pairs.samples()),
        tile_rows_((samples_ + kRows - 1) / kRows),
        block_(std::min(grad == nullptr ? kBlock : kBlockWithGradient, samples_)),
        shared_labels_(BitOperand(labels), static_cast<const BitOperand*>(nullptr), /*norms=*/false, executor),
        label_words_(WordsOf(labels.cols())),
        losses_(static_cast<size_t>(tile_rows_ * block_)),
        selves_(grad == nullptr ? 0 : static_cast<size_t>(tile_rows_ * block_)),
        sums_(static_cast<size_t>(block_)) {}

  absl::StatusOr<double> Run() {
    double sum = 0;
    for (int64_t begin = 0; begin < samples_; begin += block_) {
      if (executor_.Stopped()) return NotWanted();
      const RowRange is{begin, std::min(block_, samples_ - begin)};
      std::optional<Panels<T>> gradient;
      if (grad_ != nullptr) gradient.emplace(is.count, samples_);
      if (std::optional<Outside> outside = EvaluateTiles(is, gradient ? &*gradient : nullptr)) {
        return OutsideError(outside->i, outside->j, outside->similarity);
      }
      SumColumns(losses_, is.count);
      for (int64_t i = 0; i < is.count; ++i) sum += sums_[i];
      if (grad_ == nullptr) continue;
      SumColumns(selves_, is.count);
      for (int64_t i = 0; i < is.count; ++i) {
        gradient->panel(i / kLanes)[(is.begin + i) * kLanes + i % kLanes] = static_cast<T>(sums_[i]);
      }
      pairs_.WriteGradient(is, *gradient, *grad_, executor_);
    }
    return sum / PairCount();
  }

 private:
  using T = typename Pairs::Element;
  static constexpr int64_t kLanes = Panels<T>::kLanes;
  static constexpr int64_t kRows = 256;
  static constexpr int64_t kColumns = PairTerms::kMax;
  // Columns; the more, the more threads find work, and the more memory the sums, or the factors, take.
  static constexpr int64_t kBlock = 64 * kColumns;
  static constexpr int64_t kBlockWithGradient = 4 * kColumns;

  // A pair for which the loss is not defined.
  struct Outside {
    int64_t i;
    int64_t j;
    double similarity;
  };

  struct Scratch {
    typename Pairs::Tile tile{kRows};
    AlignedBuffer<int32_t> shared{kRows * kColumns};
  };

  double PairCount() const { return static_cast<double>(samples_) * static_cast<double>(samples_); }

  // sums_ becomes the sums of the block's columns, of which there are `count`.
  void SumColumns(const std::vector<double>& parts, int64_t count) {
    executor_.ParallelFor(count, Grain(static_cast<double>(tile_rows_)), [&](int64_t begin, int64_t end) {
      std::fill(sums_.begin() + begin, sums_.begin() + end, 0);
      for (int64_t row = 0; row < tile_rows_; ++row) {
        for (int64_t i = begin; i < end; ++i) sums_[i] += parts[row * block_ + i];
      }
    });
  }

  // Of all samples j with `is`, which begin at a multiple of kColumns. Returns the first pair i <= j for which the loss
  // is not defined. Row j of a panel of `gradient`, if it is not null, gets the factors of x_j.
  std::optional<Outside> EvaluateTiles(RowRange is, Panels<T>* gradient) {
    constexpr double kPairCost = 100;
    constexpr double kWordCost = 3;
    const int64_t across = (is.count + kColumns - 1) / kColumns;
    std::vector<std::optional<Outside>> outside(static_cast<size_t>(across * tile_rows_));
    const double pair_cost = pairs_.product_cost() + kWordCost * static_cast<double>(label_words_) + kPairCost;
    const double cost = static_cast<double>(std::min(kRows, samples_) * kColumns) * pair_cost;
    executor_.ParallelFor(across * tile_rows_, Grain(cost), [&](int64_t first, int64_t end) {
      Scratch scratch;
      for (int64_t index = first; index < end; ++index) {
        const int64_t column = is.begin + index / tile_rows_ * kColumns;
        const RowRange columns{column, std::min(kColumns, is.begin + is.count - column)};
        outside[index] = EvaluateTile(columns, index % tile_rows_, is.begin, gradient, scratch);
      }
    });
    std::optional<Outside> least;
    for (const std::optional<Outside>& each : outside) {
      if (each && (!least || std::tie(each->i, each->j) < std::tie(least->i, least->j))) least = each;
    }
    return least;
  }

  std::optional<Outside> EvaluateTile(RowRange is, int64_t tile_row, int64_t block_begin, Panels<T>* gradient,
                                      Scratch& scratch) {
    const int64_t begin = gradient != nullptr ? tile_row * kRows : std::max(tile_row * kRows, is.begin);
    const RowRange js{begin, std::min((tile_row + 1) * kRows, samples_) - begin};
    const int64_t at = tile_row * block_ + is.begin - block_begin;
    if (js.count <= 0) {
      std::fill_n(losses_.begin() + at, is.count, 0);
      return std::nullopt;
    }
    if (!pairs_.Multiply(js, is, scratch.tile)) return std::nullopt;
    if (!shared_labels_.Tile(js, is, scratch.shared.data(), kColumns)) return std::nullopt;
    double losses[kColumns] = {};
    double selves[kColumns] = {};
    std::optional<Outside> outside;
    PairTerms terms;
    for (int64_t row = 0; row < js.count; ++row) {
      const int64_t j = js.begin + row;
      pairs_.Terms(j, is, scratch.tile, row, scratch.shared.data() + row * kColumns, terms);
      // The loss is symmetric: pairs i < j count twice, those i > j only for the gradient.
      const int64_t before = std::clamp<int64_t>(j - is.begin, 0, is.count);
      for (int64_t i = 0; i < before; ++i) losses[i] += 2 * terms.loss[i];
      if (j >= is.begin && before < is.count) losses[before] += terms.loss[before];
      if (pairs_.may_be_outside()) {
        const int64_t last = std::min(j + 1 - is.begin, outside ? outside->i - is.begin : is.count);
        for (int64_t i = 0; i < std::min(last, is.count); ++i) {
          if (!IsOutside(loss_type_, terms.similarity[i])) continue;
          outside = Outside{is.begin + i, j, terms.similarity[i]};
          break;
        }
      }
      if (gradient == nullptr) continue;
      // Twice: for the pair (j, i), too.
      const double scale = 2 / PairCount();
      // Of a sample with itself both terms are the sample's own, and may cancel.
      if (j >= is.begin && j < is.begin + is.count) {
        terms.self[j - is.begin] += terms.other[j - is.begin];
        terms.other[j - is.begin] = 0;
      }
      for (int64_t i = 0; i < is.count; ++i) selves[i] += scale * terms.self[i];
      for (int64_t panel = 0; panel * kLanes < is.count; ++panel) {
        T* factors = gradient->panel((is.begin - block_begin) / kLanes + panel) + j * kLanes;
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const int64_t i = panel * kLanes + lane;
          factors[lane] = i < is.count ? static_cast<T>(scale * terms.other[i]) : T{0};
        }
      }
    }
    std::copy_n(losses, is.count, losses_.begin() + at);
    if (gradient != nullptr) std::copy_n(selves, is.count, selves_.begin() + at);
    return outside;
  }

  const Pairs& pairs_;
  const LossType loss_type_;
  MutableMatrixView<Scalar>* const grad_;
  Executor& executor_;
  const int64_t samples_;
  const int64_t tile_rows_;
  const int64_t block_;
  const RowProducts<uint64_t> shared_labels_;
  const int64_t label_words_;
  // [tile_rows_, block_]: the sums of each tile's columns.
  std::vector<double> losses_;
  std::vector<double> selves_;
  // [block_]: those of all tiles.
  std::vector<double> sums_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_EVALUATION_H_

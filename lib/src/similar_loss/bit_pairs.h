// Internal: pairs of samples whose spikes are bits.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_BIT_PAIRS_H_
#define SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_BIT_PAIRS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "aligned_buffer.h"
#include "bit_blocks.h"
#include "panels.h"
#include "row_products.h"
#include "similar_loss/pair_loss.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/spike_similar_loss.h"

namespace spikeserve {

// What SimilarLossEvaluation needs to know of the samples. Gradients are computed in T.
//
// Thread rule: const calls are safe from several threads, with a Tile each. `spikes` and `kernel` must outlive it.
template <typename T>
class BitPairs {
 public:
  using Element = T;

  // The products of `rows` samples and PairTerms::kMax others.
  struct Tile {
    explicit Tile(int64_t rows) : common(rows * PairTerms::kMax) {}
    AlignedBuffer<int32_t> common;
  };

  // For fewer than 2^31 columns. The gradient can be had only if it is said to be wanted.
  BitPairs(const BitMatrixView& spikes, const Kernel& kernel, LossType loss_type, bool gradient, Executor& executor);

  int64_t samples() const { return spikes_.rows(); }
  int64_t depth() const { return spikes_.cols(); }
  // Multiplications of floats that take as long as a pair's product.
  double product_cost() const { return static_cast<double>(spikes_.cols()) / 20; }
  // Whether the loss may be undefined for a pair; if not, Terms leaves the similarities out.
  bool may_be_outside() const { return loss_type_ == LossType::kBce && table_.empty(); }

  // The products of the samples `js` with `is`; both begin at multiples of PairTerms::kMax.
  // Returns false if the executor has stopped before the end.
  [[nodiscard]] bool Multiply(RowRange js, RowRange is, Tile& tile) const {
    return products_.Tile(js, is, tile.common.data(), PairTerms::kMax);
  }
  // Of sample j, in row `row` of the tile, with `is`.
  void Terms(int64_t j, RowRange is, const Tile& tile, int64_t row, const int32_t* shared, PairTerms& terms) const;

  // grad rows `is` = the sums over all samples j of gradient[i][j] * x_j, where row i - is.begin of `gradient` has the
  // factors of sample i.
  template <typename Scalar>
  void WriteGradient(RowRange is, const Panels<T>& gradient, MutableMatrixView<Scalar>& grad, Executor& executor) const;

 private:
  struct Entry {
    double loss;
    double other;
  };

  void MakeTable(Executor& executor);

  const BitMatrixView spikes_;
  const Kernel& kernel_;
  const LossType loss_type_;
  const bool gradient_;
  const RowProducts<uint64_t> products_;
  // |x_i|
  std::vector<double> norms_;
  // The terms by the kernel's argument: at 2 * argument of pairs that share no label, then of those that do. Empty
  // where there are not more pairs than arguments, for the linear kernel, whose similarity depends on the norms, and
  // where the loss is not defined for all arguments.
  std::vector<Entry> table_;
  // The columns of the spikes, for the gradient.
  std::optional<BitBlocks> columns_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_BIT_PAIRS_H_

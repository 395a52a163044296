// Internal: pairs of samples whose spikes are floats or doubles.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_DENSE_PAIRS_H_
#define SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_DENSE_PAIRS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "aligned_buffer.h"
#include "operands.h"
#include "panels.h"
#include "row_products.h"
#include "similar_loss/pair_loss.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/spike_similar_loss.h"

namespace spikeserve {

// As BitPairs. Products and gradients are computed in T.
template <typename T, typename Scalar>
class DensePairs {
 public:
  using Element = T;

  struct Tile {
    explicit Tile(int64_t rows) : products(rows * PairTerms::kMax) {}
    AlignedBuffer<double> products;
  };

  DensePairs(const MatrixView<Scalar>& spikes, const Kernel& kernel, LossType loss_type, bool gradient,
             Executor& executor);

  int64_t samples() const { return spikes_.rows(); }
  int64_t depth() const { return spikes_.cols(); }
  double product_cost() const { return static_cast<double>(spikes_.cols()); }
  bool may_be_outside() const { return loss_type_ == LossType::kBce; }

  [[nodiscard]] bool Multiply(RowRange js, RowRange is, Tile& tile) const;
  void Terms(int64_t j, RowRange is, const Tile& tile, int64_t row, const int32_t* shared, PairTerms& terms) const;
  void WriteGradient(RowRange is, const Panels<T>& gradient, MutableMatrixView<Scalar>& grad, Executor& executor) const;

 private:
  const MatrixView<Scalar>& spikes_;
  const Kernel& kernel_;
  const LossType loss_type_;
  const bool gradient_;
  // For distances, all samples are moved by the same; their gradients do not notice.
  const CentreRow<T> centre_;
  const DenseOperand<T, Scalar> operand_;
  const RowProducts<T> products_;
  // |x_i|
  std::vector<double> norms_;
  // The columns of the spikes, for the gradient.
  std::optional<Panels<T>> columns_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SIMILAR_LOSS_DENSE_PAIRS_H_

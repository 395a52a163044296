#include "similar_loss/dense_pairs.h"

#include "kernel_function.h"
#include "squared_distance.h"
#include "stop_check.h"
#include "weighted_sums.h"

namespace spikeserve {

template <typename T, typename Scalar>
DensePairs<T, Scalar>::DensePairs(const MatrixView<Scalar>& spikes, const Kernel& kernel, LossType loss_type,
                                  bool gradient, Executor& executor)
    : spikes_(spikes),
      kernel_(kernel),
      loss_type_(loss_type),
      gradient_(gradient),
      centre_(Centre<T, Scalar>(kernel, spikes, spikes, executor)),
      operand_(spikes, centre_),
      products_(operand_, static_cast<const DenseOperand<T, Scalar>*>(nullptr), /*norms=*/true, executor),
      norms_(SquareRoots(products_.x_norms(), executor)) {
  if (gradient) columns_.emplace(operand_.PackColumns(executor));
}

template <typename T, typename Scalar>
bool DensePairs<T, Scalar>::Multiply(RowRange js, RowRange is, Tile& tile) const {
  if (!products_.Tile(js, is, tile.products.data(), PairTerms::kMax)) return false;
  if (!TakesDistance(kernel_)) return true;
  StopCheck stop(products_.executor());
  for (int64_t row = 0; row < js.count; ++row) {
    if (!ToSquaredDistances<T, Scalar>(products_, spikes_, spikes_, js.begin + row, is,
                                       tile.products.data() + row * PairTerms::kMax, stop)) {
      return false;
    }
  }
  return true;
}

template <typename T, typename Scalar>
void DensePairs<T, Scalar>::Terms(int64_t j, RowRange is, const Tile& tile, int64_t row, const int32_t* shared,
                                  PairTerms& terms) const {
  EvaluatePairs(kernel_, loss_type_, tile.products.data() + row * PairTerms::kMax, shared, norms_.data() + is.begin,
                norms_[j], is.count, gradient_, terms);
}

template <typename T, typename Scalar>
void DensePairs<T, Scalar>::WriteGradient(RowRange is, const Panels<T>& gradient, MutableMatrixView<Scalar>& grad,
                                          Executor& executor) const {
  WriteWeightedSums<T, Scalar>(gradient, *columns_, grad.middleRows(is.begin, is.count), executor);
}

template class DensePairs<float, float>;
template class DensePairs<double, float>;
template class DensePairs<double, double>;

}  // namespace spikeserve

// Internal: the loss of pairs of samples, given their product or distance.

#ifndef SPIKESERVE_COMPUTE_SRC_PAIR_LOSS_H_
#define SPIKESERVE_COMPUTE_SRC_PAIR_LOSS_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/spike_similar_loss.h"
#include "stop_check.h"

namespace spikeserve {

// The rounding that LossType::kBce takes for a similarity in [0, 1].
inline constexpr double kSimilarityRounding = 1e-5;

// Of the pairs of one sample j with others i. The gradient of the loss of pair (i, j) with respect to sample i is
// self * x_i + other * x_j, over the number of pairs.
struct PairTerms {
  static constexpr int64_t kMax = 64;  // Samples i at a time.

  double similarity[kMax];
  double loss[kMax];
  double self[kMax];
  double other[kMax];
};

// Evaluates the loss of kernel(x_i, x_j) for `count` <= PairTerms::kMax samples i and a sample j. `arguments[i]` is the
// product or, for the gaussian, the squared distance; the pair shares a label where `shared[i]` is not 0. `norms[i]`
// and `norm` are |x_i| and |x_j|, needed for the linear kernel only. For kBce similarities are clamped to [0, 1] after
// `similarity` was written. Without `gradient` the terms self and other are left out.
void EvaluatePairs(const Kernel& kernel, LossType loss_type, const double* arguments, const int32_t* shared,
                   const double* norms, double norm, int64_t count, bool gradient, PairTerms& terms);

// The roots of the squares of the norms of all samples; fewer if the executor has stopped.
template <typename T>
std::vector<double> SquareRoots(const std::vector<T>& squares, Executor& executor) {
  std::vector<double> roots;
  roots.reserve(squares.size());
  ForPieces(executor, static_cast<int64_t>(squares.size()), kElementsPerCheck, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) roots.push_back(std::sqrt(static_cast<double>(squares[i])));
  });
  return roots;
}

// Whether the loss is not defined.
inline bool IsOutside(LossType loss_type, double similarity) {
  return loss_type == LossType::kBce && !(similarity >= -kSimilarityRounding && similarity <= 1 + kSimilarityRounding);
}

// The error of a pair for which the loss is not defined.
absl::Status OutsideError(int64_t i, int64_t j, double similarity);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_PAIR_LOSS_H_

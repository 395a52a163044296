// Internal: where bytes are not what they should be.

#ifndef SPIKESERVE_COMPUTE_SRC_NOT_ZERO_OR_ONE_H_
#define SPIKESERVE_COMPUTE_SRC_NOT_ZERO_OR_ONE_H_

#include <algorithm>
#include <optional>
#include <utility>

#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"
#include "stop_check.h"

namespace spikeserve {

// Row and column of the first element that is neither 0 nor 1. nullopt where there is none, or the executor has
// stopped.
inline std::optional<std::pair<Eigen::Index, Eigen::Index>> FindOther(const MatrixView<uint8_t>& matrix,
                                                                      Executor& executor) {
  // The multiplications of floats that take as long as to look at an element.
  constexpr double kCost = 20;
  StopCheck stop(executor);
  for (Eigen::Index r = 0; r < matrix.rows(); ++r) {
    for (Eigen::Index begin = 0; begin < matrix.cols(); begin += kElementsPerCheck) {
      const Eigen::Index end = std::min(begin + kElementsPerCheck, matrix.cols());
      if (stop.After(kCost * static_cast<double>(end - begin))) return std::nullopt;
      for (Eigen::Index c = begin; c < end; ++c) {
        if (matrix(r, c) > 1) return std::pair(r, c);
      }
    }
  }
  return std::nullopt;
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_NOT_ZERO_OR_ONE_H_

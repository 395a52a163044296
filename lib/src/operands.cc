#include "operands.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bit_words.h"
#include "kernel_function.h"
#include "simd/transpose.h"
#include "stop_check.h"
#include "tile_grid.h"

namespace spikeserve {
namespace {

// The multiplications of floats that take as long as 64 bytes of a panel.
constexpr double kPackCost = 500;
// Such 64 bytes that are written between two questions.
constexpr int64_t kPackSteps = 1 << 14;

}  // namespace

template <typename T, typename Scalar>
Panels<T> DenseOperand<T, Scalar>::Pack(int64_t begin, int64_t depth, Executor& executor) const {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  Panels<T> panels(rows(), depth);
  executor.ParallelFor(panels.count(), Grain(kPackCost * static_cast<double>(depth)), [&](int64_t first, int64_t end) {
    for (int64_t p = first; p < end; ++p) {
      const int64_t count = std::min(kLanes, rows() - p * kLanes);
      const Scalar* elements = matrix_.data() + p * kLanes * matrix_.outerStride() + begin;
      const bool all = ForPieces(executor, depth, kPackSteps, [&](int64_t k, int64_t k_end) {
        T* steps = panels.panel(p) + k * kLanes;
        if (count < kLanes) std::fill_n(steps, (k_end - k) * kLanes, T{0});
        simd::Transpose(elements + k, matrix_.outerStride(), count, k_end - k,
                        centre_ == nullptr ? nullptr : centre_ + begin + k, steps, kLanes);
      });
      if (!all) return;
    }
  });
  return panels;
}

template <typename T, typename Scalar>
Panels<T> DenseOperand<T, Scalar>::PackColumns(Executor& executor) const {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  Panels<T> panels(depth(), rows());
  executor.ParallelFor(panels.count(), Grain(kPackCost * static_cast<double>(rows())), [&](int64_t first, int64_t end) {
    StopCheck stop(executor);
    for (int64_t k = 0; k < rows(); ++k) {
      if (stop.After(kPackCost * static_cast<double>(end - first))) return;
      for (int64_t p = first; p < end; ++p) {
        const Scalar* elements = matrix_.data() + k * matrix_.outerStride() + p * kLanes;
        T* lanes = panels.panel(p) + k * kLanes;
        const int64_t count = std::min(kLanes, depth() - p * kLanes);
        for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = Centred(elements[lane], p * kLanes + lane);
        std::fill(lanes + count, lanes + kLanes, T{0});
      }
    }
  });
  return panels;
}

Panels<uint64_t> BitOperand::Pack(int64_t begin, int64_t depth, Executor& executor) const {
  constexpr int64_t kLanes = Panels<uint64_t>::kLanes;
  Panels<uint64_t> panels(rows(), depth);
  executor.ParallelFor(panels.count(), Grain(kPackCost * static_cast<double>(depth)), [&](int64_t first, int64_t end) {
    for (int64_t p = first; p < end; ++p) {
      uint64_t* panel = panels.panel(p);
      const bool all = ForPieces(executor, depth, kPackSteps, [&](int64_t k_begin, int64_t k_end) {
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const int64_t row = p * kLanes + lane;
          for (int64_t k = k_begin; k < k_end; ++k) {
            panel[k * kLanes + lane] = row < rows() ? BitWord(bits_, row, begin + k) : 0;
          }
        }
      });
      if (!all) return;
    }
  });
  return panels;
}

template <typename T, typename Scalar>
CentreRow<T> Centre(const Kernel& kernel, const MatrixView<Scalar>& x, const MatrixView<Scalar>& y,
                    Executor& executor) {
  if (!TakesDistance(kernel)) return std::nullopt;
  // Some rows tell enough; in double, as sums of floats may overflow.
  constexpr int64_t kRows = 32;
  // The multiplications of floats that take as long as an element.
  constexpr double kCost = 30;
  AlignedBuffer<T> centre(x.cols());
  const auto write_columns = [&](int64_t begin, int64_t end) {
    const int64_t cols = end - begin;
    int64_t count = 0;
    const auto for_some_rows = [&](auto&& visit) {
      for (const MatrixView<Scalar>* matrix : {&x, &y}) {
        const int64_t step = std::max<int64_t>(1, matrix->rows() / kRows);
        for (int64_t row = 0; row < matrix->rows(); row += step) visit(matrix->row(row).segment(begin, cols));
      }
    };
    Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(cols);
    for_some_rows([&](const auto& row) {
      mean += row.template cast<double>();
      ++count;
    });
    mean /= static_cast<double>(std::max<int64_t>(1, count));
    Eigen::RowVectorXd nearest = Eigen::RowVectorXd::Constant(cols, std::numeric_limits<double>::infinity());
    for_some_rows([&](const auto& row) {
      for (Eigen::Index k = 0; k < cols; ++k) {
        const auto element = static_cast<double>(row[k]);
        if (std::abs(element - mean[k]) < std::abs(nearest[k] - mean[k])) nearest[k] = element;
      }
    });
    for (Eigen::Index k = 0; k < cols; ++k) {
      centre.data()[begin + k] = std::isfinite(nearest[k]) ? static_cast<T>(nearest[k]) : T{0};
    }
  };
  const int64_t grain = Grain(kCost * static_cast<double>(std::min(4 * kRows, x.rows() + y.rows())));
  executor.ParallelFor(x.cols(), grain, write_columns);
  return centre;
}

template class DenseOperand<float, float>;
template class DenseOperand<double, float>;
template class DenseOperand<double, double>;
template CentreRow<float> Centre<float, float>(const Kernel&, const MatrixView<float>&, const MatrixView<float>&,
                                               Executor&);
template CentreRow<double> Centre<double, float>(const Kernel&, const MatrixView<float>&, const MatrixView<float>&,
                                                 Executor&);
template CentreRow<double> Centre<double, double>(const Kernel&, const MatrixView<double>&, const MatrixView<double>&,
                                                  Executor&);

}  // namespace spikeserve

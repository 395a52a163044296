#include "operands.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bit_words.h"
#include "simd/transpose.h"
#include "tile_grid.h"

namespace spikeserve {
namespace {

// The multiplications of floats that take as long as 64 bytes of a panel.
constexpr double kPackCost = 500;

}  // namespace

template <typename T, typename Scalar>
Panels<T> DenseOperand<T, Scalar>::Pack(int64_t begin, int64_t depth, Executor& executor) const {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  Panels<T> panels(rows(), depth);
  executor.ParallelFor(panels.count(), Grain(kPackCost * static_cast<double>(depth)), [&](int64_t first, int64_t end) {
    for (int64_t p = first; p < end; ++p) {
      const int64_t count = std::min(kLanes, rows() - p * kLanes);
      T* panel = panels.panel(p);
      if (count < kLanes) std::fill_n(panel, depth * kLanes, T{0});
      simd::Transpose(matrix_.data() + p * kLanes * matrix_.outerStride() + begin, matrix_.outerStride(), count, depth,
                      centre_.empty() ? nullptr : centre_.data() + begin, panel, kLanes);
    }
  });
  return panels;
}

template <typename T, typename Scalar>
Panels<T> DenseOperand<T, Scalar>::PackColumns(Executor& executor) const {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  Panels<T> panels(depth(), rows());
  executor.ParallelFor(panels.count(), Grain(kPackCost * static_cast<double>(rows())), [&](int64_t first, int64_t end) {
    for (int64_t k = 0; k < rows(); ++k) {
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

Panels<uint64_t> BitOperand::Pack(int64_t begin, int64_t depth, Executor& /*executor*/) const {
  constexpr int64_t kLanes = Panels<uint64_t>::kLanes;
  Panels<uint64_t> panels(rows(), depth);
  for (int64_t p = 0; p < panels.count(); ++p) {
    uint64_t* panel = panels.panel(p);
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t row = p * kLanes + lane;
      for (int64_t k = 0; k < depth; ++k) {
        panel[k * kLanes + lane] = row < rows() ? BitWord(bits_, row, begin + k) : 0;
      }
    }
  }
  return panels;
}

template <typename T, typename Scalar>
std::vector<T> Centre(const MatrixView<Scalar>& x, const MatrixView<Scalar>& y) {
  // Some rows tell enough; in double, as sums of floats may overflow.
  constexpr int64_t kRows = 32;
  int64_t count = 0;
  const auto for_some_rows = [&](auto&& visit) {
    for (const MatrixView<Scalar>* matrix : {&x, &y}) {
      const int64_t step = std::max<int64_t>(1, matrix->rows() / kRows);
      for (int64_t row = 0; row < matrix->rows(); row += step) visit(matrix->row(row));
    }
  };
  Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(x.cols());
  for_some_rows([&](const auto& row) {
    mean += row.template cast<double>();
    ++count;
  });
  mean /= static_cast<double>(std::max<int64_t>(1, count));
  Eigen::RowVectorXd nearest = Eigen::RowVectorXd::Constant(x.cols(), std::numeric_limits<double>::infinity());
  for_some_rows([&](const auto& row) {
    for (Eigen::Index k = 0; k < row.size(); ++k) {
      const auto element = static_cast<double>(row[k]);
      if (std::abs(element - mean[k]) < std::abs(nearest[k] - mean[k])) nearest[k] = element;
    }
  });
  std::vector<T> centre(static_cast<size_t>(x.cols()));
  for (size_t k = 0; k < centre.size(); ++k) {
    const double element = nearest[static_cast<Eigen::Index>(k)];
    centre[k] = std::isfinite(element) ? static_cast<T>(element) : T{0};
  }
  return centre;
}

template class DenseOperand<float, float>;
template class DenseOperand<double, float>;
template class DenseOperand<double, double>;
template std::vector<float> Centre<float, float>(const MatrixView<float>&, const MatrixView<float>&);
template std::vector<double> Centre<double, float>(const MatrixView<float>&, const MatrixView<float>&);
template std::vector<double> Centre<double, double>(const MatrixView<double>&, const MatrixView<double>&);

}  // namespace spikeserve

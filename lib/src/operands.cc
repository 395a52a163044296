#include "operands.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "simd/transpose.h"

namespace spikeserve {
namespace {

// Bytes of panels for which it is worth to wake up a thread.
constexpr int64_t kPackGrain = 1 << 18;

template <typename T>
void AddSquares(const Panels<T>& panels, std::vector<double>& norms) {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  for (int64_t p = 0; p < panels.count(); ++p) {
    const T* panel = panels.panel(p);
    double sums[kLanes] = {};
    for (int64_t k = 0; k < panels.depth(); ++k) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const double element = panel[k * kLanes + lane];
        sums[lane] += element * element;
      }
    }
    for (int64_t row = p * kLanes; row < std::min(panels.rows(), (p + 1) * kLanes); ++row) {
      norms[row] += sums[row - p * kLanes];
    }
  }
}

// Word `index` of a row of bits, without what the last byte has beyond the last column.
uint64_t Word(const uint8_t* row, int64_t cols, int64_t index) {
  const int64_t bits = cols - index * 64;
  uint64_t word = 0;
  if (bits >= 64) {
    std::memcpy(&word, row + index * 8, 8);
    return word;
  }
  std::memcpy(&word, row + index * 8, static_cast<size_t>((bits + 7) / 8));
  return word & ((uint64_t{1} << bits) - 1);
}

}  // namespace

template <typename T, typename Scalar>
Panels<T> DenseOperand<T, Scalar>::Pack(int64_t begin, int64_t depth, Executor& executor) const {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  Panels<T> panels(rows(), depth);
  if (depth == 0) return panels;
  executor.ParallelFor(panels.count(), kPackGrain / (64 * depth) + 1, [&](int64_t first, int64_t end) {
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

Panels<uint64_t> BitOperand::Pack(int64_t begin, int64_t depth, Executor& /*executor*/) const {
  constexpr int64_t kLanes = Panels<uint64_t>::kLanes;
  Panels<uint64_t> panels(rows(), depth);
  for (int64_t p = 0; p < panels.count(); ++p) {
    uint64_t* panel = panels.panel(p);
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t row = p * kLanes + lane;
      for (int64_t k = 0; k < depth; ++k) {
        panel[k * kLanes + lane] = row < rows() ? Word(bits_.row(row), bits_.cols(), begin + k) : 0;
      }
    }
  }
  return panels;
}

void AddSquaredNorms(const Panels<float>& panels, std::vector<double>& norms) { AddSquares(panels, norms); }
void AddSquaredNorms(const Panels<double>& panels, std::vector<double>& norms) { AddSquares(panels, norms); }

void AddSquaredNorms(const Panels<uint64_t>& panels, std::vector<int32_t>& norms) {
  constexpr int64_t kLanes = Panels<uint64_t>::kLanes;
  for (int64_t row = 0; row < panels.rows(); ++row) {
    const uint64_t* words = panels.panel(row / kLanes) + row % kLanes;
    for (int64_t k = 0; k < panels.depth(); ++k) norms[row] += std::popcount(words[k * kLanes]);
  }
}

template <typename T, typename Scalar>
std::vector<T> Centre(const MatrixView<Scalar>& x, const MatrixView<Scalar>& y) {
  // Some rows tell enough; in double, as sums of floats may overflow.
  constexpr int64_t kRows = 32;
  Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(x.cols());
  int64_t count = 0;
  for (const MatrixView<Scalar>* matrix : {&x, &y}) {
    const int64_t step = std::max<int64_t>(1, matrix->rows() / kRows);
    for (int64_t row = 0; row < matrix->rows(); row += step, ++count) {
      sum += matrix->row(row).template cast<double>();
    }
  }
  std::vector<T> centre(static_cast<size_t>(x.cols()));
  for (size_t k = 0; k < centre.size(); ++k) {
    const T middle =
        static_cast<T>(sum[static_cast<Eigen::Index>(k)] / static_cast<double>(std::max<int64_t>(1, count)));
    centre[k] = std::isfinite(middle) ? middle : T{0};
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

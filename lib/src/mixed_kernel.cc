#include "mixed_kernel.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "aligned_buffer.h"
#include "bit_blocks.h"
#include "kernel_function.h"
#include "operands.h"
#include "simd/panel_product.h"
#include "simd/subset_sums.h"
#include "simd/transpose.h"
#include "squared_distance.h"
#include "stop_check.h"
#include "tile_grid.h"

namespace spikeserve {
namespace {

// Rows of bits whose sums are computed at once: so many that tables pay, so few that the sums stay in the second-level
// cache. And rows that are evaluated and written at once.
constexpr int64_t kRows = 2048;
constexpr int64_t kPiece = 64;

// nullopt if the executor has stopped before the end.
std::optional<double> SquaredDistance(const BitMatrixView& bits, int64_t row, const auto* dense, StopCheck& stop) {
  // The multiplications of floats that take as long as a difference.
  constexpr double kCost = 50;
  constexpr int64_t kColumns = 1 << 16;
  double sum = 0;
  for (int64_t k = 0; k < bits.cols();) {
    const int64_t end = std::min(k + kColumns, bits.cols());
    if (stop.After(kCost * static_cast<double>(end - k))) return std::nullopt;
    for (; k < end; ++k) {
      const double difference = static_cast<double>(bits(row, k)) - static_cast<double>(dense[k]);
      sum += difference * difference;
    }
  }
  return sum;
}

template <typename Scalar>
class MixedTiles {
 public:
  static constexpr int64_t kLanes = Panels<Scalar>::kLanes;

  MixedTiles(const BitMatrixView& bits, const MatrixView<Scalar>& dense, bool transposed, const Kernel& kernel,
             MutableMatrixView<Scalar>& ret, Executor& executor)
      : bits_(bits),
        dense_(dense),
        transposed_(transposed),
        kernel_(kernel),
        ret_(ret),
        blocks_(BitBlocks::OfRows(bits, executor)),
        panels_(DenseOperand<Scalar, Scalar>(dense).Pack(0, dense.cols(), executor)) {
    if (!TakesDistance(kernel)) return;
    norms_ = Filled(panels_.count() * kLanes, 0.0, executor);
    simd::AddSquaredNorms(panels_, norms_.data(), executor);
    ones_ = CountOnes(bits, executor);
  }

  void Run(Executor& executor) {
    const int64_t across = panels_.count();
    const int64_t down = (bits_.rows() + kRows - 1) / kRows;
    // A sum of subsets takes a quarter of the time of products.
    const double cost = static_cast<double>(std::min(kRows, bits_.rows()) * kLanes * bits_.cols()) / 4;
    executor.ParallelFor(down * across, Grain(cost), [&](int64_t begin, int64_t end) {
      AlignedBuffer<Scalar> sums(kRows * kLanes);
      StopCheck stop(executor);
      for (int64_t index = begin; index < end; ++index) {
        const int64_t first = index / across * kRows;
        const RowRange rows{first, std::min(kRows, bits_.rows() - first)};
        const int64_t panel = index % across;
        if (!simd::SubsetSums(blocks_, rows, panels_.panel(panel), sums.data(), executor)) return;
        for (int64_t r = 0; r < rows.count; r += kPiece) {
          const RowRange piece{first + r, std::min(kPiece, rows.count - r)};
          if (!WritePiece(piece, panel * kLanes, sums.data() + r * kLanes, stop)) return;
        }
      }
    });
  }

 private:
  // Of the rows of bits and the dense rows from `column` on. Returns false if the executor has stopped before the end.
  bool WritePiece(RowRange rows, int64_t column, Scalar* sums, StopCheck& stop) const {
    double values[kPiece * kLanes];
    const int64_t count = rows.count * kLanes;
    const int64_t cols = std::min(kLanes, dense_.rows() - column);
    std::copy_n(sums, count, values);
    if (TakesDistance(kernel_)) {
      for (int64_t r = 0; r < rows.count; ++r) {
        if (!ToDistances(rows.begin + r, column, cols, values + r * kLanes, stop)) return false;
      }
    }
    EvaluateKernel(kernel_, values, count);
    std::copy_n(values, count, sums);
    if (transposed_) {
      simd::Transpose(sums, kLanes, rows.count, cols, static_cast<const Scalar*>(nullptr), &ret_(column, rows.begin),
                      ret_.outerStride());
    } else {
      for (int64_t r = 0; r < rows.count; ++r) std::copy_n(sums + r * kLanes, cols, &ret_(rows.begin + r, column));
    }
    return true;
  }

  bool ToDistances(int64_t row, int64_t column, int64_t cols, double* values, StopCheck& stop) const {
    const double norm = ones_[row];
    const double* norms = norms_.data() + column;
    if (simd::SquaredDistances(norm, norms, kCancelled, values, cols)) return true;
    for (int64_t c = 0; c < cols; ++c) {
      if (!IsCancelled(values[c], norm + norms[c])) continue;
      const std::optional<double> distance =
          SquaredDistance(bits_, row, dense_.data() + (column + c) * dense_.outerStride(), stop);
      if (!distance) return false;
      values[c] = *distance;
    }
    return true;
  }

  const BitMatrixView& bits_;
  const MatrixView<Scalar>& dense_;
  const bool transposed_;
  const Kernel& kernel_;
  MutableMatrixView<Scalar>& ret_;
  const BitBlocks blocks_;
  const Panels<Scalar> panels_;
  // For distances, else empty.
  std::vector<double> norms_;
  std::vector<int32_t> ones_;
};

}  // namespace

template <typename Scalar>
void MixedKernel(const BitMatrixView& bits, const MatrixView<Scalar>& dense, bool transposed, const Kernel& kernel,
                 MutableMatrixView<Scalar> ret, Executor& executor) {
  MixedTiles<Scalar>(bits, dense, transposed, kernel, ret, executor).Run(executor);
}

template void MixedKernel(const BitMatrixView&, const MatrixView<float>&, bool, const Kernel&, MutableMatrixView<float>,
                          Executor&);
template void MixedKernel(const BitMatrixView&, const MatrixView<double>&, bool, const Kernel&,
                          MutableMatrixView<double>, Executor&);

}  // namespace spikeserve

// Internal: distances of rows from their products.

#ifndef SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_
#define SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "row_products.h"
#include "simd/kernel_values.h"
#include "spikeserve/compute/matrix.h"
#include "stop_check.h"

namespace spikeserve {

// |x - y|^2, computed in double from the differences; nullopt if the executor has stopped before the end.
template <typename Scalar>
std::optional<double> SquaredDistance(const Scalar* x, const Scalar* y, int64_t depth, StopCheck& stop) {
  // The multiplications of floats that take as long as a difference.
  constexpr double kCost = 15;
  // Several sums, for vectors; always the same ones, so that the result is the same on any machine.
  constexpr int64_t kSums = 8;
  constexpr int64_t kPiece = 1 << 16;
  double sums[kSums] = {};
  const int64_t whole = depth - depth % kSums;
  int64_t k = 0;
  while (k < whole) {
    const int64_t end = std::min(k + kPiece, whole);
    if (stop.After(kCost * static_cast<double>(end - k))) return std::nullopt;
    for (; k < end; k += kSums) {
      for (int64_t s = 0; s < kSums; ++s) {
        const double difference = static_cast<double>(x[k + s]) - static_cast<double>(y[k + s]);
        sums[s] += difference * difference;
      }
    }
  }
  double sum = 0;
  for (; k < depth; ++k) {
    const double difference = static_cast<double>(x[k]) - static_cast<double>(y[k]);
    sum += difference * difference;
  }
  for (const double part : sums) sum += part;
  return sum;
}

// A squared distance that was computed from squared norms and a product has lost too many digits where it is this much
// smaller than the sum of the norms.
inline constexpr double kCancelled = 1e-2;

// Also where it is not a number, or larger than a distance can be, as something overflowed.
inline bool IsCancelled(double distance, double norms) {
  return !(norms * kCancelled < distance && distance <= norms * 3);
}

// Takes the products of row i of x and the rows `cols` of y, of which `products` knows the norms, to |x_i - y_j|^2.
// Where too many digits cancelled, as for rows that are almost the same, the distance is computed from the rows.
// Returns false if the executor has stopped before the end.
template <typename T, typename Scalar>
[[nodiscard]] bool ToSquaredDistances(const RowProducts<T>& products, const MatrixView<Scalar>& x,
                                      const MatrixView<Scalar>& y, int64_t i, RowRange cols, double* values,
                                      StopCheck& stop) {
  const double norm = products.x_norms()[i];
  const double* norms = products.y_norms().data() + cols.begin;
  if (simd::SquaredDistances(norm, norms, kCancelled, values, cols.count)) return true;
  for (int64_t c = 0; c < cols.count; ++c) {
    if (!IsCancelled(values[c], norm + norms[c])) continue;
    const std::optional<double> distance =
        SquaredDistance(x.data() + i * x.outerStride(), y.data() + (cols.begin + c) * y.outerStride(), x.cols(), stop);
    if (!distance) return false;
    values[c] = *distance;
  }
  return true;
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_

// Internal: distances of rows from their products.

#ifndef SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_
#define SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_

#include <cstdint>

#include "row_products.h"
#include "simd/kernel_values.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// |x - y|^2, computed in double from the differences.
template <typename Scalar>
double SquaredDistance(const Scalar* x, const Scalar* y, int64_t depth) {
  // Several sums, for vectors; always the same ones, so that the result is the same on any machine.
  constexpr int64_t kSums = 8;
  double sums[kSums] = {};
  int64_t k = 0;
  for (; k + kSums <= depth; k += kSums) {
    for (int64_t s = 0; s < kSums; ++s) {
      const double difference = static_cast<double>(x[k + s]) - static_cast<double>(y[k + s]);
      sums[s] += difference * difference;
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
template <typename T, typename Scalar>
void ToSquaredDistances(const RowProducts<T>& products, const MatrixView<Scalar>& x, const MatrixView<Scalar>& y,
                        int64_t i, RowRange cols, double* values) {
  const double norm = products.x_norms()[i];
  const double* norms = products.y_norms().data() + cols.begin;
  if (simd::SquaredDistances(norm, norms, kCancelled, values, cols.count)) return;
  for (int64_t c = 0; c < cols.count; ++c) {
    if (!IsCancelled(values[c], norm + norms[c])) continue;
    values[c] =
        SquaredDistance(x.data() + i * x.outerStride(), y.data() + (cols.begin + c) * y.outerStride(), x.cols());
  }
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_

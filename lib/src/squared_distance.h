// Internal: distances of rows from their products.

#ifndef SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_
#define SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_

#include <cstdint>
#include <type_traits>

#include "row_products.h"
#include "simd/kernel_values.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// Whether products of floats are computed in double: where there are so few that it takes no time to speak of.
inline bool WorthDouble(int64_t rows, int64_t cols, int64_t depth) {
  constexpr double kFew = 1 << 20;
  return static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(depth) <= kFew;
}

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

// Takes the products of row i of x and the rows `cols` of y, of which `products` knows the norms, to |x_i - y_j|^2.
// Where too many digits of the products cancel, as for rows that are almost the same, the distance is computed from the
// rows. T is what the products were computed in.
template <typename T, typename Scalar>
void ToSquaredDistances(const RowProducts<T>& products, const MatrixView<Scalar>& x, const MatrixView<Scalar>& y,
                        int64_t i, RowRange cols, double* values) {
  constexpr double kCancelled = std::is_same_v<T, float> ? 1e-2 : 1e-6;
  const double norm = products.x_norms()[i];
  const double* norms = products.y_norms().data() + cols.begin;
  if (simd::SquaredDistances(norm, norms, kCancelled, values, cols.count)) return;
  for (int64_t c = 0; c < cols.count; ++c) {
    const double sum = norm + norms[c];
    if (sum * kCancelled < values[c] && values[c] <= sum * 3) continue;
    values[c] =
        SquaredDistance(x.data() + i * x.outerStride(), y.data() + (cols.begin + c) * y.outerStride(), x.cols());
  }
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SQUARED_DISTANCE_H_

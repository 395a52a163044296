// Kernels of many products or distances at once.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_KERNEL_VALUES_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_KERNEL_VALUES_H_

#include <cstdint>

namespace spikeserve::simd {

// All of these take values[0 ... count - 1] to their results, with an error of a few units in the last place, and give
// the same bits on every machine: nothing in them is fused. Infinities and NaN go as in the C library's exp.

// exp(scale * value)
void ScaledExponentials(double scale, double* values, int64_t count);
// 1 / (1 + exp(-alpha * value))
void Sigmoids(double alpha, double* values, int64_t count);

// values[i] = norm + norms[i] - 2 * values[i]: squared distances from squared norms and products. Returns whether they
// all keep enough digits, which is where
//   cancelled * (norm + norms[i]) < values[i] <= 3 * (norm + norms[i]).
// (More than twice the norms no distance can be, unless something overflowed.)
bool SquaredDistances(double norm, const double* norms, double cancelled, double* values, int64_t count);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_KERNEL_VALUES_H_

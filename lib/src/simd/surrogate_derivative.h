// The derivatives that back-propagation uses for spikes, of many neurons at once.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_SURROGATE_DERIVATIVE_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_SURROGATE_DERIVATIVE_H_

#include <cstdint>

namespace spikeserve::simd {

// values[i] = alpha s(alpha x) (1 - s(alpha x)) of x = values[i], s the logistic function.
void SigmoidDerivatives(float alpha, float* values, int64_t count);

// values[i] = beta (2 - beta x tanh(beta x / 2)) / (1 + cosh(beta x)) of x = values[i].
void SignSwishDerivatives(float beta, float* values, int64_t count);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_SURROGATE_DERIVATIVE_H_

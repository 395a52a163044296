// Bits from elements that are 0 or 1.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_BIT_PACKING_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_BIT_PACKING_H_

#include <cstdint>

namespace spikeserve::simd {

// Writes element i as bit i % 8 of bits[i / 8], and zeros to the bits of the last byte beyond. Returns whether all
// elements are 0 or 1 (-0.0 is 0); if not, it stops early and what it wrote is of no use.
bool PackBits(const uint8_t* elements, int64_t count, uint8_t* bits);
bool PackBits(const float* elements, int64_t count, uint8_t* bits);
bool PackBits(const double* elements, int64_t count, uint8_t* bits);

// The other way, to 0.0f and 1.0f.
void UnpackBits(const uint8_t* bits, int64_t count, float* elements);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_BIT_PACKING_H_

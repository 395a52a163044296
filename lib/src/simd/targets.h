// The instruction sets that the SIMD files are compiled for; to be included before Highway's headers.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_TARGETS_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_TARGETS_H_

// Has VPOPCNTDQ; Highway leaves it out by default.
#define HWY_WANT_AVX3_DL
// Vectors of a size that the compiler does not know cannot be kept in arrays, as the blocked products do.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_TARGETS_H_

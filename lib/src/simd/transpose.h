// Matrices, copied with rows for columns.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_TRANSPOSE_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_TRANSPOSE_H_

#include <cstdint>

namespace spikeserve::simd {

// to[c * to_stride + r] = from[r * from_stride + c] - shift[c], for r < rows and c < cols; the difference is rounded to
// the type of `to`. A null `shift` is all zeros.
void Transpose(const float* from, int64_t from_stride, int64_t rows, int64_t cols, const float* shift, float* to,
               int64_t to_stride);
void Transpose(const double* from, int64_t from_stride, int64_t rows, int64_t cols, const double* shift, double* to,
               int64_t to_stride);
void Transpose(const float* from, int64_t from_stride, int64_t rows, int64_t cols, const double* shift, double* to,
               int64_t to_stride);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_TRANSPOSE_H_

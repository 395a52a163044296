// Internal: products of float matrices, on any number of threads.

#ifndef SPIKESERVE_COMPUTE_SRC_MATRIX_PRODUCT_H_
#define SPIKESERVE_COMPUTE_SRC_MATRIX_PRODUCT_H_

#include <cstdint>

#include "simd/matrix_product.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

using simd::LeftOperand;
using simd::ProductStart;
using simd::RightOperand;

// simd::MatrixProduct, cut into tiles. The bits depend on neither executor nor tiles.
void ParallelMatrixProduct(const LeftOperand& a, const RightOperand& b, int64_t rows, int64_t columns, int64_t depth,
                           ProductStart start, const float* row_start, float* c, int64_t c_stride, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_MATRIX_PRODUCT_H_

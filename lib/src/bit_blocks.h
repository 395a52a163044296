// Internal: matrices of bits, laid out for simd::AddSubsetSums.

#ifndef SPIKESERVE_COMPUTE_SRC_BIT_BLOCKS_H_
#define SPIKESERVE_COMPUTE_SRC_BIT_BLOCKS_H_

#include <cstdint>

#include "aligned_buffer.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// A matrix of bits [rows, depth], cut into blocks of kDepth columns: for each block a word for each row, whose bit k is
// the row's element at depth block * kDepth + k. What is beyond the last row or column is zeros.
class BitBlocks {
 public:
  // Six groups of six bits; see simd/subset_sums.h.
  static constexpr int64_t kDepth = 36;
  // Rows come in multiples of this.
  static constexpr int64_t kRowMultiple = 64;

  // The rows of `bits` as they are, or its columns as rows.
  static BitBlocks OfRows(const BitMatrixView& bits, Executor& executor);
  static BitBlocks OfColumns(const BitMatrixView& bits, Executor& executor);

  int64_t rows() const { return rows_; }
  int64_t depth() const { return depth_; }
  int64_t count() const { return (depth_ + kDepth - 1) / kDepth; }
  const uint64_t* block(int64_t index) const { return words_.data() + index * padded_rows(); }

 private:
  BitBlocks(int64_t rows, int64_t depth) : rows_(rows), depth_(depth), words_(count() * padded_rows()) {}

  int64_t padded_rows() const { return (rows_ + kRowMultiple - 1) / kRowMultiple * kRowMultiple; }
  uint64_t* block(int64_t index) { return words_.data() + index * padded_rows(); }

  int64_t rows_;
  int64_t depth_;
  AlignedBuffer<uint64_t> words_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_BIT_BLOCKS_H_

// Internal: the words of a matrix of bits, whatever its alignment.

#ifndef SPIKESERVE_COMPUTE_SRC_BIT_WORDS_H_
#define SPIKESERVE_COMPUTE_SRC_BIT_WORDS_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "spikeserve/compute/bit_matrix.h"

namespace spikeserve {

// As on the wire, bytes are read as little-endian words.
static_assert(std::endian::native == std::endian::little);

// The words of a row of so many bits.
inline int64_t WordsOf(int64_t cols) { return cols / 64 + (cols % 64 != 0); }

// Columns 64 * index ... 64 * index + 63 of a row, the lowest in the lowest bit; zeros beyond the last column.
inline uint64_t BitWord(const BitMatrixView& bits, int64_t row, int64_t index) {
  const uint8_t* bytes = bits.row(row) + index * 8;
  const int64_t count = bits.cols() - index * 64;
  uint64_t word = 0;
  if (count >= 64) {
    std::memcpy(&word, bytes, 8);
    return word;
  }
  std::memcpy(&word, bytes, static_cast<size_t>((count + 7) / 8));
  return word & ((uint64_t{1} << count) - 1);
}

// The numbers of ones of the rows, which are shorter than 2^31.
inline std::vector<int32_t> CountOnes(const BitMatrixView& bits) {
  std::vector<int32_t> ones(static_cast<size_t>(bits.rows()));
  for (int64_t row = 0; row < bits.rows(); ++row) {
    for (int64_t k = 0; k < WordsOf(bits.cols()); ++k) ones[row] += std::popcount(BitWord(bits, row, k));
  }
  return ones;
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_BIT_WORDS_H_

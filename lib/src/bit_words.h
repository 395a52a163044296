// Internal: the words of a matrix of bits, whatever its alignment.

#ifndef SPIKESERVE_COMPUTE_SRC_BIT_WORDS_H_
#define SPIKESERVE_COMPUTE_SRC_BIT_WORDS_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "stop_check.h"
#include "tile_grid.h"

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
inline std::vector<int32_t> CountOnes(const BitMatrixView& bits, Executor& executor) {
  // The multiplications of floats that take as long as a word.
  constexpr double kCost = 60;
  std::vector<int32_t> ones = Filled(bits.rows(), 0, executor);
  const int64_t words = WordsOf(bits.cols());
  executor.ParallelFor(bits.rows(), Grain(kCost * static_cast<double>(words)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      ForPieces(executor, words, kElementsPerCheck, [&](int64_t k_begin, int64_t k_end) {
        for (int64_t k = k_begin; k < k_end; ++k) ones[row] += std::popcount(BitWord(bits, row, k));
      });
    }
  });
  return ones;
}

// The largest of them; 0 for no rows.
inline int32_t MostOnes(const std::vector<int32_t>& ones, Executor& executor) {
  int32_t most = 0;
  ForPieces(executor, static_cast<int64_t>(ones.size()), kElementsPerCheck, [&](int64_t begin, int64_t end) {
    most = std::max(most, *std::max_element(ones.begin() + begin, ones.begin() + end));
  });
  return most;
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_BIT_WORDS_H_

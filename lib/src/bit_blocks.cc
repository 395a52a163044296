#include "bit_blocks.h"

#include <algorithm>
#include <cstring>

#include "bit_words.h"
#include "stop_check.h"
#include "tile_grid.h"

namespace spikeserve {
namespace {

// The multiplications of floats that take as long as a word.
constexpr double kWordCost = 60;
// Words that are written between two questions.
constexpr int64_t kWordsPerCheck = 1 << 18;

// Takes bit c of words[r] to bit r of words[c]: halves of the square change places, then quarters and so on.
void Transpose(uint64_t (&words)[64]) {
  uint64_t mask = 0x00000000ffffffff;
  for (int step = 32; step > 0; step /= 2, mask ^= mask << step) {
    for (int pair = 0; pair < 64; pair += 2 * step) {
      for (int r = pair; r < pair + step; ++r) {
        const uint64_t changed = ((words[r] >> step) ^ words[r + step]) & mask;
        words[r] ^= changed << step;
        words[r + step] ^= changed;
      }
    }
  }
}

}  // namespace

BitBlocks BitBlocks::OfRows(const BitMatrixView& bits, Executor& executor) {
  constexpr uint64_t kMask = (uint64_t{1} << kDepth) - 1;
  BitBlocks blocks(bits.rows(), bits.cols());
  const int64_t words = WordsOf(bits.cols());
  const auto write_rows = [&](int64_t b, int64_t begin, int64_t end) {
    const int64_t word = b * kDepth / 64;
    const int64_t shift = b * kDepth % 64;
    const bool two = shift + kDepth > 64 && word + 1 < words;
    uint64_t* block = blocks.block(b);
    for (int64_t r = begin; r < end; ++r) {
      uint64_t element = BitWord(bits, r, word) >> shift;
      if (two) element |= BitWord(bits, r, word + 1) << (64 - shift);
      block[r] = element & kMask;
    }
  };
  executor.ParallelFor(blocks.count(), Grain(kWordCost * static_cast<double>(blocks.padded_rows())),
                       [&](int64_t begin, int64_t end) {
                         for (int64_t b = begin; b < end; ++b) {
                           const bool all = ForPieces(executor, bits.rows(), kWordsPerCheck,
                                                      [&](int64_t first, int64_t last) { write_rows(b, first, last); });
                           if (!all) return;
                           std::fill(blocks.block(b) + bits.rows(), blocks.block(b) + blocks.padded_rows(), 0);
                         }
                       });
  return blocks;
}

BitBlocks BitBlocks::OfColumns(const BitMatrixView& bits, Executor& executor) {
  BitBlocks blocks(bits.cols(), bits.rows());
  const int64_t words = WordsOf(bits.cols());
  const auto write_square = [&](int64_t b, int64_t word) {
    const int64_t depth = std::min(kDepth, bits.rows() - b * kDepth);
    uint64_t square[64] = {};
    for (int64_t k = 0; k < depth; ++k) square[k] = BitWord(bits, b * kDepth + k, word);
    Transpose(square);
    std::copy_n(square, 64, blocks.block(b) + word * 64);
  };
  executor.ParallelFor(
      blocks.count(), Grain(kWordCost * static_cast<double>(blocks.padded_rows())), [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          const bool all = ForPieces(executor, words, kWordsPerCheck / 64, [&](int64_t first, int64_t last) {
            for (int64_t word = first; word < last; ++word) write_square(b, word);
          });
          if (!all) return;
        }
      });
  return blocks;
}

}  // namespace spikeserve

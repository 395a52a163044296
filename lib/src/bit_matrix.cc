#include "spikeserve/compute/bit_matrix.h"

#include <atomic>
#include <cstring>
#include <new>

#include "simd/bit_packing.h"
#include "stop_check.h"

namespace spikeserve {
namespace {

constexpr std::align_val_t kAlign{BitMatrix::kAlignment};

}  // namespace

void BitMatrix::Free::operator()(uint8_t* p) const { ::operator delete[](p, kAlign); }

BitMatrix::BitMatrix(int64_t rows, int64_t cols, Uninitialised)
    : rows_(rows), cols_(cols), row_bytes_((cols / (8 * kAlignment) + (cols % (8 * kAlignment) != 0)) * kAlignment) {
  bytes_.reset(static_cast<uint8_t*>(::operator new[](static_cast<size_t>(rows_ * row_bytes_), kAlign)));
}

BitMatrix::BitMatrix(int64_t rows, int64_t cols) : BitMatrix(rows, cols, InlineExecutor()) {}

BitMatrix::BitMatrix(int64_t rows, int64_t cols, Executor& executor) : BitMatrix(rows, cols, Uninitialised()) {
  ForPieces(executor, rows_ * row_bytes_, kElementsPerCheck, [&](int64_t begin, int64_t end) {
    std::memset(bytes_.get() + begin, 0, static_cast<size_t>(end - begin));
  });
}

BitMatrix::BitMatrix(const BitMatrixView& view) : BitMatrix(view.rows(), view.cols()) {
  const size_t whole = static_cast<size_t>(cols_ / 8);
  const int rest = static_cast<int>(cols_ % 8);
  for (int64_t r = 0; r < rows_; ++r) {
    if (whole > 0) std::memcpy(row(r), view.row(r), whole);
    if (rest > 0) row(r)[whole] = static_cast<uint8_t>(view.row(r)[whole] & ((1 << rest) - 1));
  }
}

template <typename Scalar>
std::optional<BitMatrix> BitMatrix::Pack(MatrixView<Scalar> matrix, Executor& executor) {
  // Elements for which it is worth to wake up a thread.
  constexpr int64_t kGrain = 1 << 17;
  BitMatrix bits(matrix.rows(), matrix.cols(), Uninitialised());
  if (bits.cols_ == 0) return bits;
  const int64_t bytes = bits.cols_ / 8 + (bits.cols_ % 8 != 0);
  std::atomic<bool> all = true;
  executor.ParallelFor(bits.rows_, kGrain / bits.cols_ + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end && all.load(std::memory_order_relaxed); ++r) {
      const Scalar* elements = matrix.data() + r * matrix.outerStride();
      uint8_t* row = bits.row(r);
      ForPieces(executor, bits.cols_, kElementsPerCheck, [&](int64_t c, int64_t c_end) {
        if (!all.load(std::memory_order_relaxed)) return;
        if (!simd::PackBits(elements + c, c_end - c, row + c / 8)) all.store(false, std::memory_order_relaxed);
      });
      std::memset(row + bytes, 0, static_cast<size_t>(bits.row_bytes_ - bytes));
    }
  });
  if (!all) return std::nullopt;
  return bits;
}

template std::optional<BitMatrix> BitMatrix::Pack(MatrixView<uint8_t>, Executor&);
template std::optional<BitMatrix> BitMatrix::Pack(MatrixView<float>, Executor&);
template std::optional<BitMatrix> BitMatrix::Pack(MatrixView<double>, Executor&);

}  // namespace spikeserve

#include "spikeserve/compute/bit_matrix.h"

#include <cstring>
#include <new>

namespace spikeserve {
namespace {

constexpr std::align_val_t kAlign{BitMatrix::kAlignment};

}  // namespace

void BitMatrix::Free::operator()(uint8_t* p) const { ::operator delete[](p, kAlign); }

BitMatrix::BitMatrix(int64_t rows, int64_t cols)
    : rows_(rows), cols_(cols), row_bytes_((cols / (8 * kAlignment) + (cols % (8 * kAlignment) != 0)) * kAlignment) {
  const size_t bytes = static_cast<size_t>(rows_ * row_bytes_);
  bytes_.reset(static_cast<uint8_t*>(::operator new[](bytes, kAlign)));
  std::memset(bytes_.get(), 0, bytes);
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
std::optional<BitMatrix> BitMatrix::Pack(MatrixView<Scalar> matrix) {
  BitMatrix bits(matrix.rows(), matrix.cols());
  for (int64_t r = 0; r < bits.rows(); ++r) {
    const Scalar* elements = matrix.data() + r * matrix.outerStride();
    for (int64_t c = 0; c < bits.cols(); ++c) {
      if (elements[c] == Scalar{1}) {
        bits.Set(r, c);
      } else if (elements[c] != Scalar{0}) {
        return std::nullopt;
      }
    }
  }
  return bits;
}

template std::optional<BitMatrix> BitMatrix::Pack(MatrixView<uint8_t>);
template std::optional<BitMatrix> BitMatrix::Pack(MatrixView<float>);
template std::optional<BitMatrix> BitMatrix::Pack(MatrixView<double>);

}  // namespace spikeserve

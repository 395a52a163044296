// Matrices of 0/1, eight elements a byte: the form in which spikes are multiplied and searched.

#ifndef SPIKESERVE_COMPUTE_BIT_MATRIX_H_
#define SPIKESERVE_COMPUTE_BIT_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// A view of a row-major matrix of bits that somebody else owns and keeps alive and unchanged. Element c of a row is bit
// c % 8 of its byte c / 8 (DataType::kBit). The bits of a row's last byte beyond the last column may be anything.
class BitMatrixView {
 public:
  // Row r begins at data + r * row_bytes; row_bytes >= ceil(cols / 8). `data` needs no alignment.
  BitMatrixView(const void* data, int64_t rows, int64_t cols, int64_t row_bytes)
      : data_(static_cast<const uint8_t*>(data)), rows_(rows), cols_(cols), row_bytes_(row_bytes) {}
  // Rows that follow each other, each padded to whole bytes.
  BitMatrixView(const void* data, int64_t rows, int64_t cols)
      : BitMatrixView(data, rows, cols, cols / 8 + (cols % 8 != 0)) {}

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t row_bytes() const { return row_bytes_; }
  const uint8_t* data() const { return data_; }
  const uint8_t* row(int64_t r) const { return data_ + r * row_bytes_; }
  bool operator()(int64_t r, int64_t c) const { return (row(r)[c / 8] >> (c % 8) & 1) != 0; }

 private:
  const uint8_t* data_;
  int64_t rows_;
  int64_t cols_;
  int64_t row_bytes_;
};

// Owns a matrix of bits whose rows begin at multiples of 64 bytes and are padded with zeros up to the next row, so that
// loops over whole words or vectors need no case for the last ones. Movable.
class BitMatrix {
 public:
  static constexpr int64_t kAlignment = 64;

  // All zeros. The bytes, rows * ceil(cols / 512) * 64, must be below 2^63.
  BitMatrix(int64_t rows, int64_t cols);
  // The same. When the executor has stopped, its elements may be anything.
  BitMatrix(int64_t rows, int64_t cols, Executor& executor);
  // A copy.
  explicit BitMatrix(const BitMatrixView& view);
  BitMatrix(BitMatrix&&) = default;
  BitMatrix& operator=(BitMatrix&&) = default;

  // The elements of `matrix`, where all are 0 or 1 (-0.0 is 0); nullopt otherwise, which is found at the first other
  // value, more or less. Scalar is uint8_t, float or double. When the executor has stopped, its elements may be
  // anything.
  template <typename Scalar>
  static std::optional<BitMatrix> Pack(MatrixView<Scalar> matrix, Executor& executor = InlineExecutor());

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t row_bytes() const { return row_bytes_; }
  const uint8_t* row(int64_t r) const { return bytes_.get() + r * row_bytes_; }
  // The padding must stay zero.
  uint8_t* row(int64_t r) { return bytes_.get() + r * row_bytes_; }
  void Set(int64_t r, int64_t c) { row(r)[c / 8] |= static_cast<uint8_t>(1 << (c % 8)); }

  operator BitMatrixView() const {  // NOLINT(google-explicit-constructor)
    return BitMatrixView(bytes_.get(), rows_, cols_, row_bytes_);
  }

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  struct Uninitialised {};

  BitMatrix(int64_t rows, int64_t cols, Uninitialised);

  int64_t rows_;
  int64_t cols_;
  int64_t row_bytes_;
  std::unique_ptr<uint8_t[], Free> bytes_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_BIT_MATRIX_H_

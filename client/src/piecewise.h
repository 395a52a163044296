// Tensors that are sent in pieces.

#ifndef SPIKESERVE_CLIENT_PIECEWISE_H_
#define SPIKESERVE_CLIENT_PIECEWISE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve {

// Large enough that a message costs little beside its bytes, and small enough to stay in a cache.
inline constexpr int64_t kPieceBytes = int64_t{1} << 20;

// The rows of a tensor, some at a time: a row is all that belongs to one index of the first `row_dimensions`
// dimensions. A view of the tensor.
class RowPieces {
 public:
  // Pieces have as many rows as fit into kPieceBytes with `other_bytes_per_row` for what the response has for a row, at
  // least one.
  RowPieces(const TensorView& tensor, size_t row_dimensions, int64_t other_bytes_per_row = 0)
      : dtype_(tensor.dtype()),
        row_shape_(tensor.shape().begin() + static_cast<ptrdiff_t>(row_dimensions), tensor.shape().end()),
        rows_(ElementCount(absl::MakeConstSpan(tensor.shape()).first(row_dimensions)).value_or(0)),
        row_bytes_(ByteCount(dtype_, row_shape_).value_or(0)),
        rows_per_piece_(std::max<int64_t>(1, kPieceBytes / std::max<int64_t>({1, row_bytes_, other_bytes_per_row}))),
        data_(static_cast<const std::byte*>(tensor.data())) {}

  int64_t rows() const { return rows_; }

  void Begin() { next_ = 0; }

  // The next rows, [r, the other dimensions]; nullopt: there are no more.
  std::optional<TensorView> Next() {
    if (next_ >= rows_) return std::nullopt;
    const int64_t begin = next_;
    next_ = std::min(rows_, begin + rows_per_piece_);
    Shape shape = row_shape_;
    shape.insert(shape.begin(), next_ - begin);
    return TensorView(dtype_, shape, data_ + begin * row_bytes_);
  }

 private:
  DataType dtype_;
  Shape row_shape_;
  int64_t rows_;
  int64_t row_bytes_;
  int64_t rows_per_piece_;
  const std::byte* data_;
  int64_t next_ = 0;
};

// Puts together a tensor that comes in pieces of consecutive rows.
class RowCollector {
 public:
  RowCollector(DataType dtype, const Shape& shape) : whole_(dtype, shape) {}

  void Begin() { bytes_ = 0; }

  // INTERNAL where the pieces have another dtype or more elements than the whole.
  absl::Status Add(const TensorView& piece);
  // INTERNAL where elements are missing.
  absl::StatusOr<Tensor> Take();

 private:
  Tensor whole_;
  int64_t bytes_ = 0;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_PIECEWISE_H_

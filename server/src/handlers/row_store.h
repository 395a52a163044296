// The rows of an operand that comes in pieces and is kept whole.

#ifndef SPIKESERVE_SERVER_HANDLERS_ROW_STORE_H_
#define SPIKESERVE_SERVER_HANDLERS_ROW_STORE_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "codec/tensor_codec.h"
#include "runtime/context.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve::server {

// Keeps rows in the form in which they are computed with: bits, float or double.
class RowStore {
 public:
  // Adds the rows of `piece`, [any number, M], the request's `field`. The first piece decides on M, and whether the
  // rows are bits (BOOL, BIT, events), double (FLOAT64) or float. Errors: those of the codec, INVALID_ARGUMENT for
  // another M or kind, RESOURCE_EXHAUSTED where all together would take more than --max-decoded-bytes.
  absl::Status Append(const codec::WireTensor& piece, std::string_view field, Context& context);

  // The memory that the rows take.
  int64_t ByteSize() const {
    return static_cast<int64_t>(bits_.capacity() + floats_.capacity() * sizeof(float) +
                                doubles_.capacity() * sizeof(double));
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  bool has_bits() const { return kind_ == Kind::kBits; }
  bool is_double() const { return kind_ == Kind::kDouble; }

  // The rows as bits. Needs has_bits(). Until the next Append.
  BitMatrixView bits() const { return {bits_.data(), rows_, cols_, bit_row_bytes_}; }

  // The rows as Scalar, converted at the first call; RESOURCE_EXHAUSTED as Append. Until the next Append.
  template <typename Scalar>
  absl::StatusOr<Eigen::Map<const RowMatrix<Scalar>>> Matrix(std::string_view field, Context& context);

 private:
  enum class Kind { kNone, kBits, kFloat, kDouble };

  template <typename Scalar>
  std::vector<Scalar>& scalars();
  template <typename Scalar>
  absl::Status AppendScalars(const codec::WireTensor& piece, std::string_view field, Context& context);
  absl::Status AppendBits(const codec::WireTensor& piece, std::string_view field, Context& context);
  absl::Status CheckRoom(int64_t rows, int64_t row_bytes, std::string_view field, const Context& context) const;

  Kind kind_ = Kind::kNone;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  int64_t bit_row_bytes_ = 0;
  std::vector<uint8_t> bits_;
  std::vector<float> floats_;
  std::vector<double> doubles_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_ROW_STORE_H_

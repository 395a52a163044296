// Wire tensors -> arrays of numbers; tensor_encoder.h has the other direction. The codec is the only place that knows
// both the wire and the compute library.

#ifndef SPIKESERVE_SERVER_CODEC_TENSOR_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_TENSOR_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "codec/envelope.h"
#include "codec/room.h"
#include "codec/tensor_encoder.h"
#include "codec/tensor_header.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/tensor.h"
#include "spikeserve/v1/tensor.pb.h"

namespace spikeserve::codec {

// A decoded tensor: its elements as T. Where the wire has them as T already they are borrowed from the message, which
// must then outlive the array and not move.
template <typename T>
class Array {
 public:
  Array(Shape shape, absl::Span<const T> borrowed) : shape_(std::move(shape)), values_(borrowed) {}
  Array(Shape shape, std::vector<T> owned) : shape_(std::move(shape)), owned_(std::move(owned)), values_(owned_) {}
  Array(Array&&) = default;
  Array& operator=(Array&&) = default;

  const Shape& shape() const { return shape_; }
  absl::Span<const T> values() const { return values_; }
  std::vector<T> ToVector() const { return {values_.begin(), values_.end()}; }

  // As a matrix of `rows` rows, which must divide the elements.
  Eigen::Map<const RowMatrix<T>> Matrix(int64_t rows, int64_t cols) const { return {values_.data(), rows, cols}; }

 private:
  Shape shape_;
  std::vector<T> owned_;
  absl::Span<const T> values_;  // A vector's elements stay where they are when it moves.
};

// Decodes `tensor`, the request's field `field`, to elements of T, converting where the wire has another dtype. T must
// hold what `accept` lets in: uint8_t is for kBinary, int64_t for kBinary and kInteger, float and double for all.
//
// Sizes are checked, without overflow, before anything is allocated. Errors: INVALID_ARGUMENT for an absent tensor, a
// dtype that `accept` does not name, a bad shape, elements in no or several forms, of the wrong number or out of range;
// FAILED_PRECONDITION for the `shared` form; RESOURCE_EXHAUSTED where the elements as T would take more than
// room.max_bytes() (a length of 0 counts as 1, so that no shape makes work out of nothing), or `room` has not got what
// they take.
template <typename T>
absl::StatusOr<Array<T>> Decode(const WireTensor& tensor, std::string_view field, Accept accept, Room room);

// A decoded tensor of 0/1: a matrix of bits, borrowed from the message where the wire has them so.
class BitArray {
 public:
  BitArray(Shape shape, const BitMatrixView& borrowed) : shape_(std::move(shape)), view_(borrowed) {}
  BitArray(Shape shape, BitMatrix owned) : shape_(std::move(shape)), owned_(std::move(owned)), view_(*owned_) {}
  BitArray(BitArray&&) = default;
  BitArray& operator=(BitArray&&) = default;

  const Shape& shape() const { return shape_; }
  const BitMatrixView& bits() const { return view_; }

 private:
  Shape shape_;
  std::optional<BitMatrix> owned_;
  BitMatrixView view_;  // The bits stay where they are when their matrix moves.
};

// Decodes a tensor of 0/1, of any dtype and form, to bits: a row for each index of the first `row_dimensions`
// dimensions, the others flattened. A tensor with fewer is refused by CheckRank.
//
// Errors as Decode with kBinary; RESOURCE_EXHAUSTED where the bits would take more than room.max_bytes().
absl::StatusOr<BitArray> DecodeBits(const WireTensor& tensor, std::string_view field, size_t row_dimensions,
                                    std::string_view needed, Room room);

// Decodes a response's tensor, which is in the `data` form, to one of the wire's own dtype. Errors as Decode.
absl::StatusOr<Tensor> DecodeTensor(const WireTensor& tensor, std::string_view field, int64_t max_bytes);
// The same; the elements are not copied where nobody else has them.
absl::StatusOr<Tensor> TakeTensor(TensorField& tensor, std::string_view field, int64_t max_bytes);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_TENSOR_CODEC_H_

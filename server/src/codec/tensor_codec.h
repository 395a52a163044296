// Wire tensors <-> arrays of numbers. The codec is the only place that knows both the wire and the compute library.

#ifndef SPIKESERVE_SERVER_CODEC_TENSOR_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_TENSOR_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/tensor.h"
#include "spikeserve/v1/tensor.pb.h"

namespace spikeserve::codec {

// Which tensors an operand may be.
enum class Accept {
  kFloat,    // FLOAT32 or FLOAT64.
  kInteger,  // UINT8, INT32 or INT64.
  kNumber,   // Any dtype.
  kBinary,   // Any dtype, all elements 0 or 1.
};

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

  // As a matrix of `rows` rows, which must divide the elements.
  Eigen::Map<const RowMatrix<T>> Matrix(int64_t rows, int64_t cols) const { return {values_.data(), rows, cols}; }

 private:
  Shape shape_;
  std::vector<T> owned_;
  absl::Span<const T> values_;  // A vector's elements stay where they are when it moves.
};

// Decodes `tensor`, the request's field `field`, to elements of T (uint8_t, int64_t, float or double), converting where
// the wire's dtype is another.
//
// Sizes are checked, without overflow, before anything is allocated. Errors: INVALID_ARGUMENT for an absent tensor, a
// dtype that `accept` does not name, a bad shape, elements in no or several forms, of the wrong number or out of range;
// RESOURCE_EXHAUSTED where the elements as T would take more than `max_bytes` (a length of 0 counts as 1, so that no
// shape makes work out of nothing).
template <typename T>
absl::StatusOr<Array<T>> Decode(const v1::Tensor& tensor, std::string_view field, Accept accept, int64_t max_bytes);

// INVALID_ARGUMENT where the tensor has another number of dimensions; `needed` describes them, such as "[T, N]".
absl::Status CheckRank(const Shape& shape, size_t rank, std::string_view field, std::string_view needed);

// Decodes a response's tensor, which is in the `data` form, to one of the wire's own dtype. Errors as Decode.
absl::StatusOr<Tensor> DecodeTensor(const v1::Tensor& tensor, std::string_view field, int64_t max_bytes);

// Writes the elements of `view` in the `data` form.
void EncodeTensor(const TensorView& view, v1::Tensor* tensor);

// Makes `tensor` a dense one of zeros and returns its elements, to be filled. The caller has checked that
// ByteCount has a value.
uint8_t* EncodeRoom(DataType dtype, absl::Span<const int64_t> shape, v1::Tensor* tensor);

// Writes elements that are 0 or 1, bytes or floats, as a mask of `mask_dtype`, which is kBool or kBit.
template <typename T>
void EncodeMask(absl::Span<const T> elements, const Shape& shape, DataType mask_dtype, v1::Tensor* tensor);

v1::DataType ToWire(DataType dtype);

// The dtype of a mask that a request asks for: `fallback` where it is unspecified. INVALID_ARGUMENT for one not in
// `allowed`.
absl::StatusOr<DataType> DecodeMaskType(v1::DataType dtype, DataType fallback, absl::Span<const DataType> allowed);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_TENSOR_CODEC_H_

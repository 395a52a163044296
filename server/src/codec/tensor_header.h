// What wire tensors say of themselves: dtype, shape and form, checked before an element is looked at.

#ifndef SPIKESERVE_SERVER_CODEC_TENSOR_HEADER_H_
#define SPIKESERVE_SERVER_CODEC_TENSOR_HEADER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/v1/tensor.pb.h"

namespace spikeserve::codec {

// A tensor as it came: what the wire says of it, and the elements of its `data` form, which may stand apart.
struct WireTensor {
  WireTensor(const v1::Tensor& tensor)  // NOLINT(google-explicit-constructor)
      : header(tensor), data(tensor.data()) {}
  WireTensor(const v1::Tensor& header_in, absl::string_view data_in) : header(header_in), data(data_in) {}

  const v1::Tensor& header;
  absl::string_view data;
};

// The most dimensions of a tensor, as PyTorch and numpy have them.
inline constexpr int kMaxRank = 64;

// Which tensors an operand may be.
enum class Accept {
  kFloat,    // FLOAT32 or FLOAT64.
  kInteger,  // UINT8, INT32 or INT64.
  kNumber,   // Any dtype.
  kBinary,   // Any dtype, all elements 0 or 1.
};

// Dtype and shape.
struct TensorHeader {
  DataType dtype;
  Shape shape;
  // The elements of the shape.
  int64_t count;
};

// The header of the request's field `field`, whose elements are in one form and of the right number. `max_elements` is
// how many elements may be decoded, and `max_bytes` the limit behind it, for the message. Errors as Decode.
absl::StatusOr<TensorHeader> CheckHeader(const WireTensor& tensor, std::string_view field, Accept accept,
                                         int64_t max_elements, int64_t max_bytes);

// The same of a response's tensor, which is in the `data` form.
absl::StatusOr<TensorHeader> CheckResult(const WireTensor& tensor, std::string_view field, int64_t max_bytes);

// The elements that a tensor says it has, where lengths of 0 count as 1: a million rows of nothing are work, too.
// 2^63 - 1 where they are more, or a length is none.
int64_t ElementsOrRows(const v1::Tensor& tensor);

// The elements that fit into `max_bytes` as bits.
int64_t BitElements(int64_t max_bytes);

// "FLOAT32", or the bare number of a value that this version does not know.
std::string WireName(v1::DataType dtype);

// Whether the elements are 0 or 1 whatever they are: by the tensor's dtype or form.
bool IsBinary(const v1::Tensor& tensor);

// A shape as it came; INVALID_ARGUMENT where it has more than kMaxRank lengths.
absl::StatusOr<Shape> DecodeShape(const google::protobuf::RepeatedField<int64_t>& lengths, std::string_view field);

// INVALID_ARGUMENT where the tensor has another number of dimensions; `needed` describes them, such as "[T, N]".
absl::Status CheckRank(const Shape& shape, size_t rank, std::string_view field, std::string_view needed);

// Whether the tensor is right in itself and in the `data` form.
bool IsDense(const WireTensor& tensor);

// Checks a tensor in the `shared` form before its memory is looked up: INVALID_ARGUMENT and RESOURCE_EXHAUSTED as for
// Decode, also where the size that it names is not what dtype and shape need.
absl::Status CheckShared(const WireTensor& tensor, std::string_view field, int64_t max_bytes);

// The dtype of a mask that a request asks for: `fallback` where it is unspecified. INVALID_ARGUMENT for one not in
// `allowed`.
absl::StatusOr<DataType> DecodeMaskType(v1::DataType dtype, DataType fallback, absl::Span<const DataType> allowed);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_TENSOR_HEADER_H_

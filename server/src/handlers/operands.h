// What several handlers do with operands and results.

#ifndef SPIKESERVE_SERVER_HANDLERS_OPERANDS_H_
#define SPIKESERVE_SERVER_HANDLERS_OPERANDS_H_

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "codec/tensor_codec.h"
#include "runtime/context.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/v1/tensor.pb.h"
#include "status_macros.h"

namespace spikeserve::server {

// Calls fn.operator()<Scalar>() with the type in which to compute on `tensors`: double where one is FLOAT64, else
// float.
template <typename Fn, typename... Tensors>
auto WithScalar(Fn&& fn, const Tensors&... tensors) {
  if (((tensors.header.dtype() == v1::DATA_TYPE_FLOAT64) || ...)) return fn.template operator()<double>();
  return fn.template operator()<float>();
}

// Decodes a tensor of two dimensions, described by `needed`.
template <typename T>
absl::StatusOr<codec::Array<T>> DecodeMatrix(const codec::WireTensor& tensor, std::string_view field,
                                             codec::Accept accept, std::string_view needed, const Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(auto array, codec::Decode<T>(tensor, field, accept, context.room));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(array.shape(), 2, field, needed));
  return array;
}

template <typename T>
Eigen::Map<const RowMatrix<T>> AsMatrix(const codec::Array<T>& array) {
  return array.Matrix(array.shape()[0], array.shape()[1]);
}

// Decodes a 0/1 tensor of two dimensions to bits.
absl::StatusOr<codec::BitArray> DecodeBitMatrix(const codec::WireTensor& tensor, std::string_view field,
                                                std::string_view needed, const Context& context);

// What finding clusters takes for each neuron: n_o, k+ and k-, and what is remembered of a neuron that is never above
// its minimum.
inline constexpr int64_t kClusterBytes = 3 * sizeof(int32_t) + 24;

// Decodes a tensor of at most one dimension: one element, or one for each neuron.
template <typename T>
absl::StatusOr<codec::Array<T>> DecodePerNeuron(const codec::WireTensor& tensor, std::string_view field,
                                                codec::Accept accept, const Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(auto array, codec::Decode<T>(tensor, field, accept, context.room));
  if (array.shape().size() > 1) {
    SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(array.shape(), 1, field, "one element or [N]"));
  }
  return array;
}

// For estimates of work: the product of counts, the largest number there is where it or one of them is not one.
int64_t Product(std::initializer_list<int64_t> counts);
// The elements that a tensor says it has, and its first length; 0 counts as 1, as in codec::ElementsOrRows.
int64_t Elements(const codec::WireTensor& tensor);
int64_t Rows(const codec::WireTensor& tensor);

// What products of all pairs of rows lay out of one operand, in panels whose rows fill whole vector registers, with the
// squares of the rows. Of bits the elements are words of 64.
int64_t LayoutBytes(int64_t rows, int64_t depth, int64_t element_bytes);

// Takes what products of x and y (no rows: of x by itself) lay out; RESOURCE_EXHAUSTED where there is no room.
absl::Status TakeLayouts(int64_t x_rows, int64_t y_rows, int64_t depth, int64_t element_bytes, const Context& context);

// The words of so many bits.
inline int64_t BitWords(int64_t bits) { return bits / 64 + (bits % 64 != 0); }

// Writes a result; RESOURCE_EXHAUSTED where it does not fit into a message, or into what may be in flight.
absl::Status EncodeResult(const TensorView& result, std::string_view field, const Context& context,
                          const codec::TensorTarget& out);

// Makes room for a result, of any content; errors as EncodeResult.
absl::StatusOr<uint8_t*> ResultRoom(DataType dtype, const Shape& shape, std::string_view field, const Context& context,
                                    const codec::TensorTarget& out);

// The same for a matrix of T.
template <typename T>
absl::StatusOr<Eigen::Map<RowMatrix<T>>> ResultMatrix(int64_t rows, int64_t cols, std::string_view field,
                                                      const Context& context, const codec::TensorTarget& out) {
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(DataTypeOf<T>::value, {rows, cols}, field, context, out));
  return Eigen::Map<RowMatrix<T>>(reinterpret_cast<T*>(bytes), rows, cols);
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_OPERANDS_H_

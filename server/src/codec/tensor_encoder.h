// Arrays of numbers -> wire tensors.

#ifndef SPIKESERVE_SERVER_CODEC_TENSOR_ENCODER_H_
#define SPIKESERVE_SERVER_CODEC_TENSOR_ENCODER_H_

#include <cstdint>

#include "absl/types/span.h"
#include "codec/envelope.h"
#include "memory/buffer_pool.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/tensor.h"
#include "spikeserve/v1/tensor.pb.h"

namespace spikeserve::codec {

// Where a tensor goes that is written: into a message, or beside it.
class TensorTarget {
 public:
  TensorTarget(v1::Tensor* tensor) : header_(tensor) {}  // NOLINT(google-explicit-constructor)
  // The elements go into a buffer of `pool`.
  TensorTarget(TensorField* field, BufferPool* pool) : header_(&field->header), data_(&field->data), pool_(pool) {}

  // Makes the tensor a dense one and returns its elements, to be filled: they may be anything. The caller has checked
  // that ByteCount has a value.
  uint8_t* Room(DataType dtype, absl::Span<const int64_t> shape) const;

 private:
  v1::Tensor* header_;
  Bytes* data_ = nullptr;
  BufferPool* pool_ = nullptr;
};

// Writes the elements of `view` in the `data` form.
void EncodeTensor(const TensorView& view, const TensorTarget& target);

// Writes elements that are 0 or 1, bytes or floats, as a mask of `mask_dtype`, which is kBool or kBit.
template <typename T>
void EncodeMask(absl::Span<const T> elements, const Shape& shape, DataType mask_dtype, const TensorTarget& target);

v1::DataType ToWire(DataType dtype);

// Sets what a tensor says of its elements.
void EncodeHeader(DataType dtype, absl::Span<const int64_t> shape, v1::Tensor* tensor);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_TENSOR_ENCODER_H_

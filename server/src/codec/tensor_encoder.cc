#include "codec/tensor_encoder.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace spikeserve::codec {

v1::DataType ToWire(DataType dtype) {
  switch (dtype) {
    case DataType::kBool:
      return v1::DATA_TYPE_BOOL;
    case DataType::kBit:
      return v1::DATA_TYPE_BIT;
    case DataType::kUint8:
      return v1::DATA_TYPE_UINT8;
    case DataType::kInt32:
      return v1::DATA_TYPE_INT32;
    case DataType::kInt64:
      return v1::DATA_TYPE_INT64;
    case DataType::kFloat32:
      return v1::DATA_TYPE_FLOAT32;
    case DataType::kFloat64:
      return v1::DATA_TYPE_FLOAT64;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

void EncodeHeader(DataType dtype, absl::Span<const int64_t> shape, v1::Tensor* tensor) {
  tensor->set_dtype(ToWire(dtype));
  tensor->mutable_shape()->Assign(shape.begin(), shape.end());
}

void EncodeTensor(const TensorView& view, const TensorTarget& target) {
  uint8_t* bytes = target.Room(view.dtype(), view.shape());
  if (view.byte_size() > 0) std::memcpy(bytes, view.data(), view.byte_size());
}

uint8_t* TensorTarget::Room(DataType dtype, absl::Span<const int64_t> shape) const {
  EncodeHeader(dtype, shape, header_);
  const size_t size = static_cast<size_t>(ByteCount(dtype, shape).value_or(0));
  if (data_ == nullptr) {
    std::string* data = header_->mutable_data();
    data->resize(size);
    return reinterpret_cast<uint8_t*>(data->data());
  }
  std::shared_ptr<uint8_t> buffer = pool_->Take(size);
  uint8_t* bytes = buffer.get();
  *data_ = {bytes, size, std::move(buffer)};
  return bytes;
}

template <typename T>
void EncodeMask(absl::Span<const T> elements, const Shape& shape, DataType mask_dtype, const TensorTarget& target) {
  uint8_t* bytes = target.Room(mask_dtype, shape);
  if (mask_dtype == DataType::kBool) {
    std::transform(elements.begin(), elements.end(), bytes, [](T element) { return static_cast<uint8_t>(element); });
    return;
  }
  const size_t width = shape.empty() ? 1 : static_cast<size_t>(shape.back());
  for (size_t row = 0; row < elements.size(); row += width, bytes += (width + 7) / 8) {
    for (size_t begin = 0; begin < width; begin += 8) {
      uint8_t byte = 0;
      for (size_t i = 0; i < std::min<size_t>(8, width - begin); ++i) {
        byte |= static_cast<uint8_t>(static_cast<uint8_t>(elements[row + begin + i]) << i);
      }
      bytes[begin / 8] = byte;
    }
  }
}

template void EncodeMask(absl::Span<const uint8_t>, const Shape&, DataType, const TensorTarget&);
template void EncodeMask(absl::Span<const float>, const Shape&, DataType, const TensorTarget&);

}  // namespace spikeserve::codec

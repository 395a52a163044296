#include "spikeserve/compute/tensor.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace spikeserve {
namespace {

// A cache line, and the width of the widest vector registers.
constexpr std::align_val_t kAlignment{64};

template <typename T>
std::vector<double> ToDoublesOf(absl::Span<const T> values) {
  return std::vector<double>(values.begin(), values.end());
}

}  // namespace

Tensor::Tensor(DataType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  ABSL_HARDENING_ASSERT(ByteCount(dtype_, shape_).has_value());
  const size_t bytes = static_cast<size_t>(byte_size());
  bytes_ = {static_cast<std::byte*>(::operator new(bytes, kAlignment)),
            [](std::byte* p) { ::operator delete(p, kAlignment); }};
  std::memset(bytes_.get(), 0, bytes);
}

Tensor::Tensor(const TensorView& view) : Tensor(view.dtype(), view.shape()) {
  if (byte_size() > 0) std::memcpy(bytes_.get(), view.data(), static_cast<size_t>(byte_size()));
}

std::vector<double> Tensor::ToDoubles() const {
  switch (dtype_) {
    case DataType::kBool:
      return ToDoublesOf(values<bool>());
    case DataType::kUint8:
      return ToDoublesOf(values<uint8_t>());
    case DataType::kInt32:
      return ToDoublesOf(values<int32_t>());
    case DataType::kInt64:
      return ToDoublesOf(values<int64_t>());
    case DataType::kFloat32:
      return ToDoublesOf(values<float>());
    case DataType::kFloat64:
      return ToDoublesOf(values<double>());
    case DataType::kBit:
      break;
  }
  std::vector<double> elements(static_cast<size_t>(size()));
  const size_t length = shape_.empty() ? 1 : static_cast<size_t>(shape_.back());
  const std::byte* row = bytes_.get();
  for (size_t begin = 0; begin < elements.size(); begin += length, row += (length + 7) / 8) {
    for (size_t i = 0; i < length; ++i) elements[begin + i] = std::to_integer<int>(row[i / 8] >> (i % 8)) & 1;
  }
  return elements;
}

}  // namespace spikeserve

#include "codec/nested_tensors.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/tensor_header.h"
#include "google/protobuf/descriptor.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/v1/tensor.pb.h"

namespace spikeserve::codec {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

int64_t FloatBytes(const v1::Tensor& tensor) {
  if (tensor.shape_size() > kMaxRank) return 0;  // It will be refused.
  Shape room(tensor.shape().begin(), tensor.shape().end());
  if (std::any_of(room.begin(), room.end(), [](int64_t length) { return length < 0; })) return 0;
  for (int64_t& length : room) length = std::max<int64_t>(length, 1);
  return ByteCount(DataType::kFloat32, room).value_or(kMax);
}

}  // namespace

int64_t NestedFloatBytes(const google::protobuf::Message& message) {
  if (message.GetDescriptor() == v1::Tensor::descriptor()) return FloatBytes(static_cast<const v1::Tensor&>(message));
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  int64_t bytes = 0;
  const auto add = [&](const google::protobuf::Message& inner) {
    const int64_t more = NestedFloatBytes(inner);
    bytes = more > kMax - bytes ? kMax : bytes + more;
  };
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      add(reflection.GetMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      add(reflection.GetRepeatedMessage(message, field, i));
    }
  }
  return bytes;
}

absl::Status CheckElementsAreThere(const google::protobuf::Message& message) {
  constexpr int64_t kFloatBytesOfBit = 4, kBitsOfByte = 8, kSlack = 4 << 20;
  const auto size = static_cast<int64_t>(message.ByteSizeLong());
  const int64_t bytes = NestedFloatBytes(message);
  if (bytes <= kSlack + kFloatBytesOfBit * kBitsOfByte * size) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("tensors of ", bytes, " bytes in a message of ", size, "; need the elements to be there"));
}

}  // namespace spikeserve::codec

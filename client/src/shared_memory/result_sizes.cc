#include "shared_memory/result_sizes.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"

namespace spikeserve {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

// Programs know few kinds. One that knows more starts afresh now and then.
constexpr size_t kMaxKinds = 256;

}  // namespace

ResultSizes::Kind ResultSizes::KindOf(std::string_view path, const codec::Envelope& request) {
  Kind kind(path);
  for (const codec::TensorField& tensor : request.tensors) {
    absl::StrAppend(&kind, " ", tensor.number, ":", static_cast<int>(tensor.header.dtype()), "[",
                    absl::StrJoin(tensor.header.shape(), ","), "]");
  }
  const Reflection* reflection = request.message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*request.message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) absl::StrAppend(&kind, " ", field->number());
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      absl::StrAppend(&kind, " ", field->number(), "=", reflection->GetEnumValue(*request.message, field));
    }
  }
  return kind;
}

std::vector<size_t> ResultSizes::Expected(const Kind& kind) const {
  const std::lock_guard lock(mutex_);
  const auto it = sizes_.find(kind);
  return it == sizes_.end() ? std::vector<size_t>() : it->second;
}

void ResultSizes::Learn(const Kind& kind, std::vector<size_t> sizes) {
  const std::lock_guard lock(mutex_);
  if (sizes.empty()) {  // Expected anyway, and most calls of most programs are small.
    sizes_.erase(kind);
    return;
  }
  if (sizes_.size() >= kMaxKinds && !sizes_.contains(kind)) sizes_.clear();
  sizes_[kind] = std::move(sizes);
}

}  // namespace spikeserve

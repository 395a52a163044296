#include "rpc_traits.h"

#include "google/protobuf/descriptor.pb.h"

namespace spikeserve {

MethodInfo FindMethod(const google::protobuf::Descriptor* request) {
  // The services stand in the file of their requests.
  const google::protobuf::FileDescriptor* file = request->file();
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const google::protobuf::MethodDescriptor* method = file->service(s)->method(m);
      if (method->input_type() != request) continue;
      const auto level = method->options().idempotency_level();
      return {absl::StrCat("/", method->service()->full_name(), "/", method->name()),
              level != google::protobuf::MethodOptions::IDEMPOTENCY_UNKNOWN,
              level != google::protobuf::MethodOptions::NO_SIDE_EFFECTS};
    }
  }
  return {};
}

}  // namespace spikeserve

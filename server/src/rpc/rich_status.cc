#include "rpc/rich_status.h"

#include <string>

#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/rich_error.pb.h"

namespace spikeserve::rpc {
namespace {

constexpr char kBadRequestType[] = "type.googleapis.com/google.rpc.BadRequest";

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message());
  const std::string field = FieldOf(status);
  if (field.empty()) return {code, message};

  v1::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(field);
  // The message begins with the field, which the violation names by itself.
  const bool prefixed = message.size() > field.size() + 2 && message.compare(0, field.size(), field) == 0;
  violation->set_description(prefixed ? message.substr(field.size() + 2) : message);
  v1::RichStatus rich;
  rich.set_code(static_cast<int>(code));
  rich.set_message(message);
  auto* detail = rich.add_details();
  detail->set_type_url(kBadRequestType);
  detail->set_value(bad_request.SerializeAsString());
  return {code, message, rich.SerializeAsString()};
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  v1::RichStatus rich;
  if (!rich.ParseFromString(status.error_details())) return out;
  for (const auto& detail : rich.details()) {
    v1::BadRequest bad_request;
    if (detail.type_url() == kBadRequestType && bad_request.ParseFromString(detail.value()) &&
        bad_request.field_violations_size() > 0) {
      SetField(out, bad_request.field_violations(0).field());
    }
  }
  return out;
}

}  // namespace spikeserve::rpc

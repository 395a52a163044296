#include "rpc/rich_status.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/retry_after.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/rich_error.pb.h"

namespace spikeserve::rpc {
namespace {

constexpr char kBadRequestType[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kRetryInfoType[] = "type.googleapis.com/google.rpc.RetryInfo";

void AddDetail(const char* type, const google::protobuf::Message& message, v1::RichStatus& rich) {
  google::protobuf::Any* detail = rich.add_details();
  detail->set_type_url(type);
  detail->set_value(message.SerializeAsString());
}

v1::BadRequest BadRequestOf(const std::string& field, const std::string& message) {
  v1::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(field);
  // The message begins with the field, which the violation names by itself.
  const bool prefixed = message.size() > field.size() + 2 && message.compare(0, field.size(), field) == 0;
  violation->set_description(prefixed ? message.substr(field.size() + 2) : message);
  return bad_request;
}

v1::RetryInfo RetryInfoOf(absl::Duration delay) {
  v1::RetryInfo retry_info;
  google::protobuf::Duration* out = retry_info.mutable_retry_delay();
  out->set_seconds(absl::IDivDuration(delay, absl::Seconds(1), &delay));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(delay)));
  return retry_info;
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message());
  v1::RichStatus rich;
  if (const std::string field = FieldOf(status); !field.empty()) {
    AddDetail(kBadRequestType, BadRequestOf(field, message), rich);
  }
  if (const std::optional<absl::Duration> delay = server::RetryAfterOf(status)) {
    AddDetail(kRetryInfoType, RetryInfoOf(*delay), rich);
  }
  if (rich.details().empty()) return {code, message};
  rich.set_code(static_cast<int>(code));
  rich.set_message(message);
  return {code, message, rich.SerializeAsString()};
}

grpc::Status ToGrpc(const absl::Status& status, grpc::CallbackServerContext& context) {
  if (const std::optional<absl::Duration> delay = server::RetryAfterOf(status)) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(absl::ToInt64Milliseconds(*delay)));
  }
  return ToGrpc(status);
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
    v1::RetryInfo retry_info;
    if (detail.type_url() == kRetryInfoType && retry_info.ParseFromString(detail.value())) {
      const google::protobuf::Duration& delay = retry_info.retry_delay();
      // Whatever a server says, nobody is to try again without end and without a pause.
      server::SetRetryAfter(
          out, std::max(absl::Milliseconds(1), absl::Seconds(delay.seconds()) + absl::Nanoseconds(delay.nanos())));
    }
  }
  return out;
}

}  // namespace spikeserve::rpc

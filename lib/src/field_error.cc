#include "spikeserve/compute/field_error.h"

#include <cstddef>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "shortened.h"

namespace spikeserve {
namespace {

constexpr absl::string_view kFieldUrl = "spikeserve/field";

absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }

// What a caller sent may be of any length, and an error goes to logs and into HTTP headers.
constexpr size_t kMost = 1000;

}  // namespace

absl::Status FieldError(absl::StatusCode code, std::string_view field, std::string_view got, std::string_view needed) {
  absl::Status status(code,
                      absl::StrCat(ToAbsl(field), ": ", Shortened(got, kMost), "; need ", Shortened(needed, kMost)));
  SetField(status, field);
  return status;
}

absl::Status InvalidField(std::string_view field, std::string_view got, std::string_view needed) {
  return FieldError(absl::StatusCode::kInvalidArgument, field, got, needed);
}

std::string FieldOf(const absl::Status& status) {
  const auto field = status.GetPayload(kFieldUrl);
  return field ? std::string(*field) : std::string();
}

void SetField(absl::Status& status, std::string_view field) { status.SetPayload(kFieldUrl, absl::Cord(ToAbsl(field))); }

absl::Status WithinField(std::string_view path, const absl::Status& status) {
  const std::string field = FieldOf(status);
  absl::Status within(status.code(), absl::StrCat(ToAbsl(path), field.empty() ? ": " : ".", status.message()));
  SetField(within, field.empty() ? std::string(path) : absl::StrCat(ToAbsl(path), ".", field));
  return within;
}

}  // namespace spikeserve

#include "runtime/retry_after.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace spikeserve::server {
namespace {

constexpr char kUrl[] = "spikeserve/retry-after-ns";

}  // namespace

void SetRetryAfter(absl::Status& status, absl::Duration delay) {
  status.SetPayload(kUrl, absl::Cord(absl::StrCat(absl::ToInt64Nanoseconds(delay))));
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kUrl);
  int64_t nanoseconds;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &nanoseconds)) return std::nullopt;
  return absl::Nanoseconds(nanoseconds);
}

}  // namespace spikeserve::server

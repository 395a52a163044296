// Errors that go away by themselves, and tell when.

#ifndef SPIKESERVE_SERVER_RUNTIME_RETRY_AFTER_H_
#define SPIKESERVE_SERVER_RUNTIME_RETRY_AFTER_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace spikeserve::server {

// Adds to `status` that nothing was done for the call, and that it may be made again after `delay`.
void SetRetryAfter(absl::Status& status, absl::Duration delay);

// What was added; nullopt: nothing.
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_RETRY_AFTER_H_

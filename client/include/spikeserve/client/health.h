// Whether a server serves.

#ifndef SPIKESERVE_CLIENT_HEALTH_H_
#define SPIKESERVE_CLIENT_HEALTH_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace spikeserve {

// Asks the server's grpc.health.v1 service. OK where it serves; UNAVAILABLE where it cannot be reached or drains;
// DEADLINE_EXCEEDED without an answer within `timeout`.
absl::Status CheckHealth(std::string_view target, absl::Duration timeout);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_HEALTH_H_

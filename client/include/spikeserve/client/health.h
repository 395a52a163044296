// Whether a server serves.

#ifndef SPIKESERVE_CLIENT_HEALTH_H_
#define SPIKESERVE_CLIENT_HEALTH_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "spikeserve/client/options.h"

namespace spikeserve {

// Asks the server's grpc.health.v1 service. OK where it serves; UNAVAILABLE where it cannot be reached or drains;
// DEADLINE_EXCEEDED without an answer within `timeout`. Of the options only those count that tell how to connect (TLS
// and the token, which health checks do not need); errors in them are those of Client::Connect.
absl::Status CheckHealth(std::string_view target, absl::Duration timeout, const ConnectOptions& options = {});

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_HEALTH_H_

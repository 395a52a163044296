// Which errors whoever runs the server has to look into.

#ifndef SPIKESERVE_SERVER_TELEMETRY_SERVERS_FAULT_H_
#define SPIKESERVE_SERVER_TELEMETRY_SERVERS_FAULT_H_

#include "absl/status/status.h"

namespace spikeserve::telemetry {

// Whether a call that ends so failed by the server's fault, and not by its caller's, or for want of room.
inline bool IsServersFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_SERVERS_FAULT_H_

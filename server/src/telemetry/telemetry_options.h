// What the server's process is to tell of itself, and where.

#ifndef SPIKESERVE_SERVER_TELEMETRY_TELEMETRY_OPTIONS_H_
#define SPIKESERVE_SERVER_TELEMETRY_TELEMETRY_OPTIONS_H_

#include <string>

#include "absl/time/time.h"
#include "telemetry/log.h"

namespace spikeserve::telemetry {

struct TelemetryOptions {
  LogOptions log;
  // Calls that keep the server busy for as long are logged at level info; see CallLog.
  absl::Duration slow_call = absl::Seconds(1);
  // "HOST:PORT" to serve metrics on; empty: nowhere.
  std::string metrics_listen = {};
  // Also where other machines reach it.
  bool insecure = false;
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_TELEMETRY_OPTIONS_H_

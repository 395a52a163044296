// What a server process is told when it starts.

#ifndef SPIKESERVE_SERVER_CONFIG_SERVER_CONFIG_H_
#define SPIKESERVE_SERVER_CONFIG_SERVER_CONFIG_H_

#include "absl/time/time.h"
#include "rpc/server.h"
#include "telemetry/telemetry_options.h"

namespace spikeserve::config {

struct ServerConfig {
  rpc::ServerOptions server;
  telemetry::TelemetryOptions telemetry;
  // How long accepted calls get to finish after SIGTERM or SIGINT.
  absl::Duration drain_timeout = absl::Seconds(30);
};

}  // namespace spikeserve::config

#endif  // SPIKESERVE_SERVER_CONFIG_SERVER_CONFIG_H_

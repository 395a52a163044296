// What a server process is told when it starts.

#ifndef SPIKESERVE_SERVER_CONFIG_SERVER_CONFIG_H_
#define SPIKESERVE_SERVER_CONFIG_SERVER_CONFIG_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "rpc/address.h"
#include "rpc/server.h"
#include "telemetry/telemetry_options.h"

namespace spikeserve::config {

struct ServerConfig {
  rpc::ServerOptions server;
  telemetry::TelemetryOptions telemetry;
  // How long the server goes on serving after SIGTERM or SIGINT, while health checks tell of its end already.
  absl::Duration drain_delay = absl::ZeroDuration();
  // How long accepted calls get to finish then.
  absl::Duration drain_timeout = absl::Seconds(30);
  // Where networks are kept, so that they survive a restart, and how often they are written; empty: nowhere.
  std::string state_dir;
  absl::Duration state_interval = absl::Seconds(60);
  // What is allowed, and yet may not be meant.
  std::vector<std::string> warnings;

  // Whether callers prove who they are, so that one is told from another.
  bool CallersDiffer() const { return !server.tokens.empty() || (server.tls && !server.tls->client_ca.empty()); }

  // The same, and no caller is without an identity: on a `unix:` socket nobody shows a certificate.
  bool EachCallerIsSomebody() const {
    return CallersDiffer() &&
           !(server.tokens.empty() && std::any_of(server.listen.begin(), server.listen.end(), rpc::IsUnixSocket));
  }
};

}  // namespace spikeserve::config

#endif  // SPIKESERVE_SERVER_CONFIG_SERVER_CONFIG_H_

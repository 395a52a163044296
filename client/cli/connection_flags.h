// The flags that tell how to get to a server.

#ifndef SPIKESERVE_CLI_CONNECTION_FLAGS_H_
#define SPIKESERVE_CLI_CONNECTION_FLAGS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "spikeserve/client/options.h"

namespace spikeserve::cli {

struct ConnectionFlags {
  std::string server;
  double timeout_seconds = 0;  // 0: none.
  TlsOptions tls;
  std::string token_file;
  std::string token;  // Only from the environment: a command line can be read by others.

  absl::Duration timeout() const {
    return timeout_seconds == 0 ? absl::InfiniteDuration() : absl::Seconds(timeout_seconds);
  }

  // TLS where any of its flags is there. The errors of files that cannot be read.
  absl::StatusOr<ConnectOptions> Options() const;
};

// What the environment says, for where the command line says nothing.
ConnectionFlags ConnectionFlagsFromEnvironment();

void AddConnectionFlags(CLI::App& app, ConnectionFlags& flags);

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_CONNECTION_FLAGS_H_

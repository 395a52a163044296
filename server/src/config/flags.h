// The server's flags: the one place that names them.

#ifndef SPIKESERVE_SERVER_CONFIG_FLAGS_H_
#define SPIKESERVE_SERVER_CONFIG_FLAGS_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "config/server_config.h"

namespace spikeserve::config {

// The program has printed what it was asked for (--help, --version), and is to end.
struct Printed {};

// The configuration is valid: --check-config asks for no more.
struct Checked {
  std::vector<std::string> warnings;
};

using CommandLine = std::variant<ServerConfig, Printed, Checked>;

// Each flag is taken from the command line; where it is not there, from the environment variable of its name
// (SPIKESERVE_MAX_CALLS for --max-calls); else from the file that --flagfile names: a flag on each line, as on the
// command line, with # for comments. Errors say in one line what is wrong, and where it came from.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace spikeserve::config

#endif  // SPIKESERVE_SERVER_CONFIG_FLAGS_H_

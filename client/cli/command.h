// What a subcommand of spikectl is. To add one: a file in commands/ and its line in commands/table.cc.

#ifndef SPIKESERVE_CLI_COMMAND_H_
#define SPIKESERVE_CLI_COMMAND_H_

#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "cli/caller.h"
#include "cli/report.h"

namespace spikeserve::cli {

class Command {
 public:
  virtual ~Command() = default;

  // Adds the command's own options to `app`; they fill members of the command, which outlives `app`.
  virtual void AddOptions(CLI::App& app) = 0;

  // Does the work, after parsing. Whatever it returns is written and shown by the caller.
  virtual absl::StatusOr<Report> Run(const Caller& caller) = 0;
};

// Where a command may compute.
enum class Where {
  kAnywhere,  // On a server, or without --server in this process.
  kServer,    // Only on a server.
  kHere,      // Only in this process: it calls nothing.
};

struct CommandInfo {
  std::string group;  // The heading in spikectl --help.
  std::string name;   // "raster", or with the parent in front, "network create".
  std::string summary;
  std::string example;  // Command lines.
  Where where;
  bool has_arrays;  // Its report holds arrays, which -o writes.
  std::unique_ptr<Command> command;
};

template <typename T>
CommandInfo Describe(std::string group, std::string name, std::string summary, std::string example,
                     Where where = Where::kAnywhere, bool has_arrays = true) {
  return {std::move(group), std::move(name),      std::move(summary), std::move(example), where,
          has_arrays,       std::make_unique<T>()};
}

// All commands, in the order of spikectl --help.
std::vector<CommandInfo> Commands();

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_COMMAND_H_

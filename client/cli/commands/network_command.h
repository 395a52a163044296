// What the commands on networks have in common.

#ifndef SPIKESERVE_CLI_COMMANDS_NETWORK_COMMAND_H_
#define SPIKESERVE_CLI_COMMANDS_NETWORK_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/commands/commands.h"
#include "spikeserve/client/networks.h"
#include "status_macros.h"

namespace spikeserve::cli {

template <typename T>
CommandInfo DescribeNetwork(const std::string& name, const std::string& summary, const std::string& example,
                            bool has_arrays = false) {
  return Describe<T>(kNetworks, "network " + name, summary, example, Where::kServer, has_arrays);
}

// A command on one network.
class OneNetworkCommand : public Command {
 public:
  void AddOptions(CLI::App& app) override;

 protected:
  std::string network_;
};

// A command that changes it.
class ChangeCommand : public OneNetworkCommand {
 public:
  void AddOptions(CLI::App& app) override;

 protected:
  std::optional<uint64_t> step_;
};

// A change that says nothing but the network and the step; Args are the client's.
template <typename Args>
class BareChangeCommand final : public ChangeCommand {
 public:
  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const NextStep result, caller.Call(Args{network_, step_}));
    Report report;
    report.AddValue("next_step", result.next_step);
    return report;
  }
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_COMMANDS_NETWORK_COMMAND_H_

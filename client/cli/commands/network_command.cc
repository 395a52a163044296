#include "cli/commands/network_command.h"

namespace spikeserve::cli {

void OneNetworkCommand::AddOptions(CLI::App& app) {
  app.add_option("NETWORK", network_, "The network's name, as network create printed it")->required();
}

void ChangeCommand::AddOptions(CLI::App& app) {
  OneNetworkCommand::AddOptions(app);
  app.add_option("--step", step_, "The number of this change: with it the call is retried, and done once")
      ->type_name("INT");
}

}  // namespace spikeserve::cli

#include "cli/commands/network_command.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace spikeserve::cli {

void OneNetworkCommand::AddOptions(CLI::App& app) {
  app.add_option("NETWORK", network_, "The network's name, as network create printed it")->required();
}

void ChangeCommand::AddOptions(CLI::App& app) {
  OneNetworkCommand::AddOptions(app);
  app.add_option("--step", step_, "The number of this change: with it the call is retried, and done once")
      ->type_name("INT");
}

void AddRecords(std::vector<RecordTensors> records, Report& report) {
  for (RecordTensors& record : records) {
    const auto add = [&](const char* name, std::optional<Tensor>& tensor) {
      if (tensor) report.AddArray(absl::StrCat(record.layer, "/", name), *std::move(tensor));
    };
    add("spikes", record.spikes);
    add("v_before_reset", record.v_before_reset);
    add("v_after_reset", record.v_after_reset);
  }
}

}  // namespace spikeserve::cli

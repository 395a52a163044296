// The commands on networks that a server holds.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "cli/layers_file.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

template <typename T>
CommandInfo DescribeNetwork(const std::string& name, const std::string& summary, const std::string& example,
                            bool has_arrays = false) {
  return Describe<T>(kNetworks, "network " + name, summary, example, Where::kServer, has_arrays);
}

class CreateCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override { app.add_option("LAYERS", path_, "JSON file with the layers")->required(); }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(std::vector<LayerSpec> layers, ReadLayers(path_));
    SPIKESERVE_ASSIGN_OR_RETURN(CreateNetworkArgs::Result result, caller.Call(CreateNetworkArgs{std::move(layers)}));
    Report report;
    report.AddText("network", result.network, result.network);
    return report;
  }

 private:
  std::string path_;
};

class ListCommand final : public Command {
 public:
  void AddOptions(CLI::App&) override {}

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(ListNetworksArgs::Result networks, caller.Call(ListNetworksArgs{}));
    Json json = Json::array();
    std::vector<std::vector<std::string>> rows = {{"NETWORK", "BYTES", "IDLE"}};
    for (const auto& [name, bytes, idle] : networks) {
      json.push_back({{"network", name}, {"bytes", bytes}, {"idle_seconds", absl::ToDoubleSeconds(idle)}});
      rows.push_back({name, absl::StrCat(bytes), absl::StrCat(absl::ToInt64Seconds(idle), " s")});
    }
    std::string text = networks.empty() ? "no networks" : Table(rows);
    Report report;
    report.AddText("networks", std::move(json), std::move(text));
    return report;
  }
};

// A command on one network.
class OneNetworkCommand : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    app.add_option("NETWORK", network_, "The network's name, as network create printed it")->required();
  }

 protected:
  std::string network_;
};

// A command that changes it.
class ChangeCommand : public OneNetworkCommand {
 public:
  void AddOptions(CLI::App& app) override {
    OneNetworkCommand::AddOptions(app);
    app.add_option("--step", step_, "The number of this change: with it the call is retried, and done once")
        ->type_name("INT");
  }

 protected:
  std::optional<uint64_t> step_;
};

class DeleteCommand final : public OneNetworkCommand {
 public:
  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_RETURN_IF_ERROR(caller.Call(DeleteNetworkArgs{network_}).status());
    Report report;
    report.AddText("deleted", network_, "deleted " + network_);
    return report;
  }
};

// "tau 2, surrogate sigmoid alpha 1".
std::string ParameterText(const Json& parameters, std::string_view separator) {
  return absl::StrJoin(parameters.items(), absl::string_view(separator.data(), separator.size()),
                       [](std::string* out, const auto& item) {
                         const Json& value = item.value();
                         absl::StrAppend(out, item.key(), " ",
                                         value.is_object()         ? ParameterText(value, " ")
                                         : value.is_number_float() ? absl::StrCat(value.template get<double>())
                                         : value.is_string()       ? value.template get<std::string>()
                                                                   : value.dump());
                       });
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

class GetCommand final : public OneNetworkCommand {
 public:
  void AddOptions(CLI::App& app) override {
    OneNetworkCommand::AddOptions(app);
    app.add_flag("--include-monitors", include_monitors_, "Return what layers with a monitor recorded, too");
    app.add_option("--save", save_, "Write the layers as JSON, for network create")->type_name("FILE");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(GetNetworkArgs::Result result,
                                caller.Call(GetNetworkArgs{network_, include_monitors_}));
    Report report;
    report.AddValue("network", network_);
    report.AddValue("training", result.training);
    report.AddValue("next_step", result.next_step);
    Json json = Json::array();
    std::vector<std::vector<std::string>> rows = {{"layers"}};
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const LayerSpec& layer : result.layers) {
      SPIKESERVE_ASSIGN_OR_RETURN(LayerDescription description, DescribeLayer(layer));
      rows.push_back({"  " + description.name, description.kind, ParameterText(description.parameters, ", ")});
      json.push_back({{"name", description.name}, {description.kind, std::move(description.parameters)}});
      for (auto& [field, tensor] : description.tensors) {
        tensors.emplace_back(absl::StrCat(description.name, "/", field), std::move(tensor));
      }
    }
    report.AddText("layers", std::move(json), Table(rows));
    for (auto& [name, tensor] : tensors) report.AddArray(name, std::move(tensor));
    AddRecords(std::move(result.monitors), report);
    if (!save_.empty()) SPIKESERVE_RETURN_IF_ERROR(WriteLayers(save_, result.layers));
    return report;
  }

 private:
  bool include_monitors_ = false;
  std::string save_;
};

class SetTrainingCommand final : public ChangeCommand {
 public:
  void AddOptions(CLI::App& app) override {
    ChangeCommand::AddOptions(app);
    AddChoice<std::optional<bool>>(app, "MODE", training_, {{"on", true}, {"off", false}},
                                   "on: training; off: evaluation")
        ->required();
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const NextStep result, caller.Call(SetTrainingArgs{network_, *training_, step_}));
    Report report;
    report.AddValue("training", *training_);
    report.AddValue("next_step", result.next_step);
    return report;
  }

 private:
  std::optional<bool> training_;
};

class ResetCommand final : public ChangeCommand {
 public:
  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const NextStep result, caller.Call(ResetNetArgs{network_, step_}));
    Report report;
    report.AddValue("next_step", result.next_step);
    return report;
  }
};

// Parses "LAYER:PART,PART"; a layer's name may hold colons.
absl::StatusOr<RecordRequest> ParseRecord(const std::string& text) {
  const auto error = [&] {
    return UsageError(
        absl::StrCat("--record: got ", text, "; need LAYER:PART,..., PART spikes, v_before_reset or v_after_reset"));
  };
  const size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return error();
  RecordRequest request{text.substr(0, colon)};
  const std::pair<absl::string_view, bool&> parts[] = {
      {"spikes", request.spikes}, {"v_before_reset", request.v_before_reset}, {"v_after_reset", request.v_after_reset}};
  for (const absl::string_view word : absl::StrSplit(absl::string_view(text).substr(colon + 1), ',')) {
    bool known = false;
    for (const auto& [part, wanted] : parts) {
      if (part == word) known = wanted = true;
    }
    if (!known) return error();
  }
  return request;
}

class ForwardCommand final : public ChangeCommand {
 public:
  void AddOptions(CLI::App& app) override {
    ChangeCommand::AddOptions(app);
    input_.AddTo(app, "--input", "[T, batch, features ...]; the state stays for the next call")->required();
    app.add_flag("--single-step", single_step_, "The input is one step, without the dimension of time");
    app.add_option("--record", records_,
                   "Return of a spiking layer its spikes, v_before_reset, v_after_reset;\nmay be repeated")
        ->type_name("LAYER:PART,...")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    AddMaskDtype(app, mask_dtype_);
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    std::vector<RecordRequest> records;
    for (const std::string& text : records_) {
      SPIKESERVE_ASSIGN_OR_RETURN(RecordRequest record, ParseRecord(text));
      records.push_back(std::move(record));
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor input, input_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(
        ForwardArgs::Result result,
        caller.Call(ForwardArgs{network_, input, single_step_, std::move(records), mask_dtype_, step_}));
    Report report;
    report.AddArray("output", std::move(result.output));
    AddRecords(std::move(result.records), report);
    report.AddValue("next_step", result.next_step);
    return report;
  }

 private:
  ArrayFlag input_;
  bool single_step_ = false;
  std::vector<std::string> records_;
  DataType mask_dtype_ = DataType::kBool;
};

class SetThresholdMarginCommand final : public ChangeCommand {
 public:
  void AddOptions(CLI::App& app) override {
    ChangeCommand::AddOptions(app);
    app.add_option("LAYER", layer_, "The name of a spiking layer")->required();
    margin_.AddTo(app);
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor label_one_hot, margin_.label_one_hot.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(
        SetThresholdMarginArgs::Result result,
        caller.Call(SetThresholdMarginArgs{network_, layer_, label_one_hot, margin_.options, step_}));
    Report report;
    report.AddArray("v_threshold", std::move(result.v_threshold));
    report.AddValue("next_step", result.next_step);
    return report;
  }

 private:
  std::string layer_;
  ThresholdMarginFlags margin_;
};

}  // namespace

CommandInfo NetworkCreate() {
  return DescribeNetwork<CreateCommand>("create", "Make a network and print its name",
                                        R"(cat > net.json <<END
  {"layers": [
    {"name": "fc", "linear": {"weight": "weights.npz:fc"}},
    {"name": "out", "lif_node": {"tau": 2, "v_threshold": 1}}
  ]}
  END
  spikectl network create net.json --server 127.0.0.1:50051

The file holds a CreateNetworkRequest as JSON; its layers and their parameters are those of spikeserve/v1/networks.proto:
linear, if_node, lif_node, plif_node, rif_node, low_pass_synapse, dropout, conv2d, avg_pool2d, max_pool2d, flatten,
batch_norm2d. Where it needs a tensor, name an array, relative to its folder: "FILE.npy", "FILE.npz:NAME", or "FILE.npz" of
one array. The network stays until it is deleted or expires.)");
}

CommandInfo NetworkGet() {
  return DescribeNetwork<GetCommand>("get", "Show a network's layers, parameters and monitors",
                                     "spikectl network get $NET --include-monitors -o net.npz --server 127.0.0.1:50051",
                                     /*has_arrays=*/true);
}

CommandInfo NetworkList() {
  return DescribeNetwork<ListCommand>("list", "List the networks that a server holds",
                                      "spikectl network list --server 127.0.0.1:50051");
}

CommandInfo NetworkForward() {
  return DescribeNetwork<ForwardCommand>(
      "forward", "Run a network one or more steps",
      "spikectl network forward $NET --input x.npy --record out:spikes,v_before_reset -o run.npz \\\n"
      "    --server 127.0.0.1:50051",
      /*has_arrays=*/true);
}

CommandInfo NetworkSetTraining() {
  return DescribeNetwork<SetTrainingCommand>("set-training", "Switch between training and evaluation",
                                             "spikectl network set-training $NET on --server 127.0.0.1:50051");
}

CommandInfo NetworkSetThresholdMargin() {
  return DescribeNetwork<SetThresholdMarginCommand>(
      "set-threshold-margin", "Set the thresholds of a spiking layer with a margin",
      "spikectl network set-threshold-margin $NET out --label-one-hot labels.npz:one_hot \\\n"
      "    --server 127.0.0.1:50051",
      /*has_arrays=*/true);
}

CommandInfo NetworkReset() {
  return DescribeNetwork<ResetCommand>("reset", "Return every layer's state to its initial one",
                                       "spikectl network reset $NET --server 127.0.0.1:50051");
}

CommandInfo NetworkDelete() {
  return DescribeNetwork<DeleteCommand>("delete", "Delete a network",
                                        "spikectl network delete $NET --server 127.0.0.1:50051");
}

}  // namespace spikeserve::cli

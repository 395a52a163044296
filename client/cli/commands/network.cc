// The commands that make networks, show them, keep them in files and delete them.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/commands/network_command.h"
#include "cli/layers_file.h"
#include "cli/records.h"
#include "printable.h"
#include "spikeserve/client/checkpoint.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class CreateCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    app.add_option("LAYERS", path_, "JSON file with the layers")->required();
    app.add_option("--seed", seed_, "Chooses the parameters that are drawn")->type_name("INT")->capture_default_str();
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(std::vector<LayerSpec> layers, ReadLayers(path_, seed_));
    SPIKESERVE_ASSIGN_OR_RETURN(CreateNetworkArgs::Result result, caller.Call(CreateNetworkArgs{std::move(layers)}));
    Report report;
    report.AddText("network", result.network, Printable(result.network));
    return report;
  }

 private:
  std::string path_;
  uint64_t seed_ = 0;
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

class SaveCommand final : public OneNetworkCommand {
 public:
  void AddOptions(CLI::App& app) override {
    OneNetworkCommand::AddOptions(app);
    app.add_option("FILE", path_, "The checkpoint to write; JSON where it ends in .json")->required();
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const CreateNetworkArgs checkpoint, caller.Do([&](const Client& client) {
      return TakeCheckpoint(client.AttachNetwork(network_), caller.call_options());
    }));
    SPIKESERVE_RETURN_IF_ERROR(WriteCheckpoint(checkpoint, path_));
    Report report;
    report.AddText("written", path_, "wrote " + path_);
    return report;
  }

 private:
  std::string path_;
};

class LoadCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    app.add_option("FILE", path_, "A checkpoint, as network save and train write it")->required();
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const CreateNetworkArgs checkpoint, ReadCheckpoint(path_));
    SPIKESERVE_ASSIGN_OR_RETURN(CreateNetworkArgs::Result result, caller.Call(checkpoint));
    Report report;
    report.AddText("network", result.network, Printable(result.network));
    return report;
  }

 private:
  std::string path_;
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
one array; or give only the shape of a weight or bias, such as [10, 64], to have it drawn: uniform in
+-1 / sqrt(inputs of a neuron). The network stays until it is deleted or expires.)");
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

CommandInfo NetworkSave() {
  return DescribeNetwork<SaveCommand>("save", "Write a network to a file, with all that its training has left",
                                      "spikectl network save $NET net.ckpt --server 127.0.0.1:50051\n\n"
                                      "The file is a CreateNetworkRequest of spikeserve/v1/networks.proto: binary, or "
                                      "JSON where its name ends in .json.");
}

CommandInfo NetworkLoad() {
  return DescribeNetwork<LoadCommand>("load", "Make a network of a file and print its name",
                                      "spikectl network load net.ckpt --server 127.0.0.1:50051\n\n"
                                      "It goes on where the network of the file was, and gets a name of its own.");
}

CommandInfo NetworkDelete() {
  return DescribeNetwork<DeleteCommand>("delete", "Delete a network",
                                        "spikectl network delete $NET --server 127.0.0.1:50051");
}

}  // namespace spikeserve::cli

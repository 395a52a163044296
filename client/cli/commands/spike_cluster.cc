#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class SpikeClusterCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    v_.AddTo(app, "--v", "Membrane voltages, float [T, N]")->required();
    v_threshold_.AddTo(app, "--v-threshold", "The firing threshold, one or [N]")->required();
    app.add_option("--t-in", options_.t_in, "Spikes at most this many steps apart are of one cluster")
        ->type_name("STEPS")
        ->capture_default_str();
    AddChoice<ClusterRule>(app, "--rule", options_.rule,
                           {{"reference", ClusterRule::kReference}, {"definition", ClusterRule::kDefinition}},
                           "Corner cases as SpikingFlow has them, or as STCA defines them");
    app.add_option("--v-min", options_.v_min, "The minimum of the tensor of which v is a block (default: that of v)")
        ->type_name("NUMBER");
    AddMaskDtype(app, mask_dtype_);
    app.add_flag("--index-output", index_output_, "Return k_positive and k_negative as steps (-1: none), not as masks");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor v, v_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor v_threshold, v_threshold_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(SpikeClusterResult result,
                                caller.Call(SpikeClusterArgs{v, v_threshold, options_, mask_dtype_, index_output_}));
    Report report;
    report.AddArray("n_o", std::move(result.n_o));
    report.AddArray("k_positive", std::move(result.k_positive));
    report.AddArray("k_negative", std::move(result.k_negative));
    return report;
  }

 private:
  ArrayFlag v_;
  NumberOrArrayFlag v_threshold_;
  SpikeClusterOptions options_;
  DataType mask_dtype_ = DataType::kBool;
  bool index_output_ = false;
};

}  // namespace

CommandInfo SpikeCluster() {
  return Describe<SpikeClusterCommand>(kFunctions, "spike-cluster", "Find the spike clusters of each neuron (STCA)",
                                       "spikectl spike-cluster --v voltages.npy --v-threshold 1.0 --t-in 2 -o out.npz");
}

}  // namespace spikeserve::cli

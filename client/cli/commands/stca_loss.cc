#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class StcaLossCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    v_.AddTo(app, "--v", "Membrane voltages, float [T, N]")->required();
    v_threshold_.AddTo(app, "--v-threshold", "The firing threshold, one or [N]")->required();
    app.add_option("--t-in", t_in_, "Spikes at most this many steps apart are of one cluster")
        ->type_name("STEPS")
        ->capture_default_str();
    n_d_.AddTo(app, "--n-d", "The wanted number of clusters, one or [N]")->required();
    app.add_flag("--gradient", gradient_, "Return the loss's gradient with respect to v, too");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor v, v_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor v_threshold, v_threshold_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor n_d, n_d_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(StcaLossOutput result,
                                caller.Call(StcaLossArgs{v, v_threshold, t_in_, n_d, gradient_}));
    Report report;
    report.AddNumber("loss", result.loss);
    report.AddArray("n_o", std::move(result.n_o));
    if (result.grad_v) report.AddArray("grad_v", *std::move(result.grad_v));
    return report;
  }

 private:
  ArrayFlag v_;
  NumberOrArrayFlag v_threshold_, n_d_;
  int64_t t_in_ = 1;
  bool gradient_ = false;
};

}  // namespace

CommandInfo StcaLoss() {
  return Describe<StcaLossCommand>(
      kFunctions, "stca-loss", "STCA's loss on the number of spike clusters",
      "spikectl stca-loss --v voltages.npy --v-threshold 1.0 --t-in 2 --n-d 3 --gradient -o loss.npz");
}

}  // namespace spikeserve::cli

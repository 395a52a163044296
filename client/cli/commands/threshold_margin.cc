#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class ThresholdMarginCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    margin_.AddTo(app);
    app.add_flag("--training", training_, "The thresholds of training: one for each neuron (default: of evaluation)");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor label_one_hot, margin_.label_one_hot.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor v_threshold,
                                caller.Call(ThresholdMarginArgs{label_one_hot, training_, margin_.options}));
    Report report;
    report.AddArray("v_threshold", std::move(v_threshold));
    return report;
  }

 private:
  ThresholdMarginFlags margin_;
  bool training_ = false;
};

}  // namespace

CommandInfo ThresholdMargin() {
  return Describe<ThresholdMarginCommand>(
      kFunctions, "threshold-margin", "Thresholds that make output neurons fire with a margin",
      "spikectl threshold-margin --label-one-hot labels.npz:one_hot --training -o thresholds.npy");
}

}  // namespace spikeserve::cli

#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class SpikeSimilarLossCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    spikes_.AddTo(app, "--spikes", "[N, ...], flattened to a row for each sample")->required();
    labels_.AddTo(app, "--labels", "0/1 [N, C]: samples that share a label are wanted to be similar")->required();
    kernel_.AddTo(app);
    AddChoice<LossType>(app, "--loss-type", loss_type_,
                        {{"mse", LossType::kMse}, {"l1", LossType::kL1}, {"bce", LossType::kBce}},
                        "How a similarity is compared with the wanted one");
    app.add_flag("--gradient", gradient_, "Return the loss's gradient with respect to spikes, too");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, kernel_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor spikes, spikes_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor labels, labels_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(SpikeSimilarLossResult result,
                                caller.Call(SpikeSimilarLossArgs{spikes, labels, kernel, loss_type_, gradient_}));
    Report report;
    report.AddNumber("loss", result.loss);
    if (result.grad_spikes) report.AddArray("grad_spikes", *std::move(result.grad_spikes));
    return report;
  }

 private:
  ArrayFlag spikes_, labels_;
  KernelFlags kernel_;
  LossType loss_type_ = LossType::kMse;
  bool gradient_ = false;
};

}  // namespace

CommandInfo SpikeSimilarLoss() {
  return Describe<SpikeSimilarLossCommand>(
      kFunctions, "spike-similar-loss", "How far samples' similarity is from that of their labels",
      "spikectl spike-similar-loss --spikes run.npz:spikes --labels run.npz:one_hot --kernel linear --gradient");
}

}  // namespace spikeserve::cli

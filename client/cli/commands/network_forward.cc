// The commands that run networks, and what goes with it: mode, thresholds, reset.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands/network_command.h"
#include "cli/flags.h"
#include "cli/records.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

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

class ForwardCommand final : public ChangeCommand {
 public:
  void AddOptions(CLI::App& app) override {
    ChangeCommand::AddOptions(app);
    input_.AddTo(app, "--input", "[T, batch, features ...]; the state stays for the next call")->required();
    app.add_flag("--single-step", single_step_, "The input is one step, without the dimension of time");
    records_.AddTo(app);
    AddMaskDtype(app, mask_dtype_);
    app.add_flag("--keep-trace", keep_trace_, "Keep what network backward needs, after that of earlier such calls");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(std::vector<RecordRequest> records, records_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor input, input_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(
        ForwardArgs::Result result,
        caller.Call(ForwardArgs{network_, input, single_step_, std::move(records), mask_dtype_, step_, keep_trace_}));
    Report report;
    report.AddArray("output", std::move(result.output));
    AddRecords(std::move(result.records), report);
    report.AddValue("next_step", result.next_step);
    return report;
  }

 private:
  ArrayFlag input_;
  bool single_step_ = false;
  RecordFlag records_;
  DataType mask_dtype_ = DataType::kBool;
  bool keep_trace_ = false;
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
  return DescribeNetwork<BareChangeCommand<ResetNetArgs>>("reset", "Return every layer's state to its initial one",
                                                          "spikectl network reset $NET --server 127.0.0.1:50051");
}

}  // namespace spikeserve::cli

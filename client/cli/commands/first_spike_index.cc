#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class FirstSpikeIndexCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    spikes_.AddTo(app, "--spikes", "0/1 [..., T]: time is the last dimension")->required();
    AddMaskDtype(app, mask_dtype_);
    app.add_flag("--index-output", index_output_, "Return steps (-1 in silent rows), not a mask");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor spikes, spikes_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor index, caller.Call(FirstSpikeIndexArgs{spikes, mask_dtype_, index_output_}));
    Report report;
    report.AddArray("index", std::move(index));
    return report;
  }

 private:
  ArrayFlag spikes_;
  DataType mask_dtype_ = DataType::kBool;
  bool index_output_ = false;
};

}  // namespace

CommandInfo FirstSpikeIndex() {
  return Describe<FirstSpikeIndexCommand>(kFunctions, "first-spike-index", "The first spike of each row",
                                          "spikectl first-spike-index --spikes spikes.npy --index-output -o steps.npy");
}

}  // namespace spikeserve::cli

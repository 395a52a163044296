#include <optional>

#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class KernelDotProductCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    x_.AddTo(app, "--x", "[N, M]")->required();
    y_.AddTo(app, "--y", "[K, M] (default: x)");
    kernel_.AddTo(app);
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, kernel_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor x, x_.Read());
    std::optional<Tensor> y;
    if (y_.given()) {
      SPIKESERVE_ASSIGN_OR_RETURN(y, y_.Read());
    }
    KernelDotProductArgs args{.x = x, .kernel = kernel};
    if (y) args.y = *y;
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor ret, caller.Call(args));
    Report report;
    report.AddArray("ret", std::move(ret));
    return report;
  }

 private:
  ArrayFlag x_, y_;
  KernelFlags kernel_;
};

}  // namespace

CommandInfo KernelDotProduct() {
  return Describe<KernelDotProductCommand>(
      kFunctions, "kernel-dot-product", "The similarity of each row of x with each row of y",
      "spikectl kernel-dot-product --x spikes.npy --kernel gaussian --sigma 3 -o similarity.npy");
}

}  // namespace spikeserve::cli

#include <optional>

#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class KernelDotProductVjpCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    x_.AddTo(app, "--x", "[N, M]")->required();
    y_.AddTo(app, "--y", "[K, M] (default: x)");
    kernel_.AddTo(app);
    grad_output_.AddTo(app, "--grad-output", "The loss's gradient with respect to the similarities, [N, K]")
        ->required();
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Kernel kernel, kernel_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor x, x_.Read());
    std::optional<Tensor> y;
    if (y_.given()) {
      SPIKESERVE_ASSIGN_OR_RETURN(y, y_.Read());
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor grad_output, grad_output_.Read());
    KernelDotProductVjpArgs args{.x = x, .kernel = kernel, .grad_output = grad_output};
    if (y) args.y = *y;
    SPIKESERVE_ASSIGN_OR_RETURN(KernelDotProductVjpResult result, caller.Call(args));
    Report report;
    report.AddArray("grad_x", std::move(result.grad_x));
    if (result.grad_y) report.AddArray("grad_y", *std::move(result.grad_y));
    return report;
  }

 private:
  ArrayFlag x_, y_, grad_output_;
  KernelFlags kernel_;
};

}  // namespace

CommandInfo KernelDotProductVjp() {
  return Describe<KernelDotProductVjpCommand>(kFunctions, "kernel-dot-product-vjp",
                                              "The gradient of kernel-dot-product with respect to x and y",
                                              "spikectl kernel-dot-product-vjp --x spikes.npy --kernel gaussian "
                                              "--sigma 3 --grad-output grad.npy -o grad_x.npy");
}

}  // namespace spikeserve::cli

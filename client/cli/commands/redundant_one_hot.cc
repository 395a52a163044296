#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

class RedundantOneHotCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    labels_.AddTo(app, "--labels", "Integers [B], each in [0, num-classes)")->required();
    app.add_option("--num-classes", num_classes_, "The number of classes")->required()->type_name("INT");
    app.add_option("--n", n_, "The number of ones of a class")->type_name("INT")->capture_default_str();
    AddChoice<DataType>(app, "--mask-dtype", mask_dtype_,
                        {{"float32", DataType::kFloat32}, {"bool", DataType::kBool}, {"bit", DataType::kBit}},
                        "What the codes are; files hold bool for bit");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor labels, labels_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor codes, caller.Call(RedundantOneHotArgs{labels, num_classes_, n_, mask_dtype_}));
    Report report;
    report.AddArray("codes", std::move(codes));
    return report;
  }

 private:
  ArrayFlag labels_;
  int64_t num_classes_ = 0;
  int64_t n_ = 1;
  DataType mask_dtype_ = DataType::kFloat32;
};

}  // namespace

CommandInfo RedundantOneHot() {
  return Describe<RedundantOneHotCommand>(
      kFunctions, "redundant-one-hot", "One-hot codes with n ones for each class",
      "spikectl redundant-one-hot --labels labels.npy --num-classes 10 --n 4 -o codes.npy");
}

}  // namespace spikeserve::cli

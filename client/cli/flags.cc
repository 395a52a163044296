#include "cli/flags.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "cli/caller.h"
#include "file/file.h"
#include "npz/npz.h"

namespace spikeserve::cli {

CLI::Option* AddMaskDtype(CLI::App& app, DataType& dtype) {
  return AddChoice<DataType>(app, "--mask-dtype", dtype, {{"bool", DataType::kBool}, {"bit", DataType::kBit}},
                             "How masks come from a server; files hold bool");
}

CLI::Option* AddOutput(CLI::App& app, std::string& path, const std::vector<std::string>& endings,
                       const std::string& help) {
  const auto check = [endings](const std::string& value) -> std::string {
    const auto fits = [&](const std::string& ending) { return absl::EndsWith(value, ending); };
    if (std::any_of(endings.begin(), endings.end(), fits)) return "";
    return absl::StrCat("got ", value, "; need a name that ends in ", absl::StrJoin(endings, " or "));
  };
  return app.add_option("-o,--output", path, help)->type_name("FILE")->check(check)->group("Output");
}

CLI::Option* ArrayFlag::AddTo(CLI::App& app, const std::string& name, const std::string& help) {
  name_ = name;
  return app.add_option(name, spec_, help)->type_name("ARRAY");
}

absl::StatusOr<Tensor> ArrayFlag::Read() const {
  absl::StatusOr<Tensor> array = npz::ReadArray(spec_);
  if (!array.ok()) return file::AtPath(name_, array.status());
  return array;
}

CLI::Option* NumberOrArrayFlag::AddTo(CLI::App& app, const std::string& name, const std::string& help) {
  return ArrayFlag::AddTo(app, name, help)->type_name("NUMBER|ARRAY");
}

absl::StatusOr<Tensor> NumberOrArrayFlag::Read() const {
  double number;
  if (absl::SimpleAtod(spec_, &number)) return Tensor(TensorView(number));
  if (!absl::StrContains(spec_, ".np")) {
    return UsageError(absl::StrCat(name_, ": got ", spec_, "; need a number, FILE.npy or FILE.npz:NAME"));
  }
  return ArrayFlag::Read();
}

void KernelFlags::AddTo(CLI::App& app) {
  AddChoice<std::string>(
      app, "--kernel", name_,
      {{"linear", "linear"}, {"polynomial", "polynomial"}, {"sigmoid", "sigmoid"}, {"gaussian", "gaussian"}},
      "The similarity of two rows x and y")
      ->required();
  app.add_option("--d", d_, "Exponent of the polynomial kernel, (x.y)^d")->type_name("NUMBER");
  app.add_option("--alpha", alpha_, "Slope of the sigmoid kernel, 1 / (1 + exp(-alpha x.y))")->type_name("NUMBER");
  app.add_option("--sigma", sigma_, "Width of the gaussian kernel, exp(-|x - y|^2 / (2 sigma^2))")->type_name("NUMBER");
}

absl::StatusOr<Kernel> KernelFlags::Get() const {
  Kernel kernel = LinearKernel{};
  const struct {
    const char* kernel;
    const char* flag;
    const std::optional<double>& value;
    Kernel (*make)(double);
  } parameters[] = {
      {"polynomial", "--d", d_, [](double d) -> Kernel { return PolynomialKernel{d}; }},
      {"sigmoid", "--alpha", alpha_, [](double alpha) -> Kernel { return SigmoidKernel{alpha}; }},
      {"gaussian", "--sigma", sigma_, [](double sigma) -> Kernel { return GaussianKernel{sigma}; }},
  };
  for (const auto& p : parameters) {
    const bool needed = name_ == p.kernel;
    if (needed && !p.value) return UsageError(absl::StrCat("--kernel ", p.kernel, " needs ", p.flag));
    if (!needed && p.value) return UsageError(absl::StrCat(p.flag, " is for --kernel ", p.kernel, ", not ", name_));
    if (needed) kernel = p.make(*p.value);
  }
  return kernel;
}

void ThresholdMarginFlags::AddTo(CLI::App& app) {
  label_one_hot.AddTo(app, "--label-one-hot", "1 for the neurons of the right class")->required();
  const auto add = [&](const char* name, double& value, const char* help) {
    app.add_option(name, value, help)->type_name("NUMBER")->capture_default_str();
  };
  add("--eval-threshold", options.eval_threshold, "The threshold in evaluation");
  add("--threshold0", options.threshold0, "The training threshold of the other neurons");
  add("--threshold1", options.threshold1, "The training threshold where label-one-hot is 1");
}

}  // namespace spikeserve::cli

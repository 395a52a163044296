#include "cli/training_flags.h"

#include <map>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/caller.h"
#include "cli/flags.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

// The words KEY=VALUE of a loss. Each getter takes its word away; what is left in the end is unknown.
class Words {
 public:
  Words(std::string text, std::map<std::string, std::string> values)
      : text_(std::move(text)), values_(std::move(values)) {}

  absl::Status Error(const std::string& what) const { return UsageError(absl::StrCat("--loss ", text_, ": ", what)); }

  std::optional<std::string> Take(const std::string& key) {
    const auto found = values_.find(key);
    if (found == values_.end()) return std::nullopt;
    std::string value = std::move(found->second);
    values_.erase(found);
    return value;
  }

  absl::StatusOr<double> Number(const std::string& key, std::optional<double> otherwise) {
    const std::optional<std::string> text = Take(key);
    if (!text && !otherwise) return Error("needs " + key + "=NUMBER");
    double value = otherwise.value_or(0);
    if (text && !absl::SimpleAtod(*text, &value)) return Error(absl::StrCat(key, ": got ", *text, "; need a number"));
    return value;
  }

  absl::StatusOr<int64_t> Integer(const std::string& key, int64_t otherwise) {
    const std::optional<std::string> text = Take(key);
    int64_t value = otherwise;
    if (text && !absl::SimpleAtoi(*text, &value)) return Error(absl::StrCat(key, ": got ", *text, "; need an integer"));
    return value;
  }

  absl::Status CheckNothingLeft() const {
    return values_.empty() ? absl::OkStatus() : Error("knows no " + values_.begin()->first);
  }

 private:
  std::string text_;
  std::map<std::string, std::string> values_;
};

absl::StatusOr<Kernel> TakeKernel(Words& words) {
  const std::string name = words.Take("kernel").value_or("linear");
  if (name == "linear") return LinearKernel{};
  const struct {
    const char* name;
    const char* parameter;
    Kernel (*make)(double);
  } kernels[] = {{"polynomial", "d", [](double d) -> Kernel { return PolynomialKernel{d}; }},
                 {"sigmoid", "alpha", [](double alpha) -> Kernel { return SigmoidKernel{alpha}; }},
                 {"gaussian", "sigma", [](double sigma) -> Kernel { return GaussianKernel{sigma}; }}};
  for (const auto& kernel : kernels) {
    if (name != kernel.name) continue;
    SPIKESERVE_ASSIGN_OR_RETURN(const double parameter, words.Number(kernel.parameter, std::nullopt));
    return kernel.make(parameter);
  }
  return words.Error(absl::StrCat("kernel: got ", name, "; need linear|polynomial|sigmoid|gaussian"));
}

absl::StatusOr<SimilarityLoss> TakeSimilarity(Words& words) {
  SimilarityLoss loss;
  SPIKESERVE_ASSIGN_OR_RETURN(loss.kernel, TakeKernel(words));
  const std::pair<const char*, LossType> types[] = {
      {"mse", LossType::kMse}, {"l1", LossType::kL1}, {"bce", LossType::kBce}};
  const std::string wanted = words.Take("loss_type").value_or("mse");
  for (const auto& [name, type] : types) {
    if (wanted != name) continue;
    loss.loss_type = type;
    return loss;
  }
  return words.Error(absl::StrCat("loss_type: got ", wanted, "; need mse|l1|bce"));
}

absl::StatusOr<ClusterLoss> TakeClusters(Words& words) {
  ClusterLoss loss;
  SPIKESERVE_ASSIGN_OR_RETURN(loss.t_in, words.Integer("t_in", loss.t_in));
  SPIKESERVE_ASSIGN_OR_RETURN(loss.n_d, words.Number("n_d", loss.n_d));
  return loss;
}

}  // namespace

absl::StatusOr<LossTerm> ParseLoss(const std::string& text) {
  std::vector<std::string> parts = absl::StrSplit(text, ',');
  std::map<std::string, std::string> values;
  for (size_t i = 1; i < parts.size(); ++i) {
    std::pair<std::string, std::string> word = absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    if (word.first.empty() || word.second.empty() || !values.insert(std::move(word)).second) {
      return UsageError(absl::StrCat("--loss ", text, ": got ", parts[i], "; need KEY=VALUE, each KEY once"));
    }
  }
  Words words(text, std::move(values));
  LossTerm term;
  term.layer = words.Take("layer").value_or("");
  SPIKESERVE_ASSIGN_OR_RETURN(term.weight, words.Number("weight", 1));
  if (parts[0] == "count") {
    term.kind = CountLoss{};
  } else if (parts[0] == "rate") {
    term.kind = RateLoss{};
  } else if (parts[0] == "clusters") {
    SPIKESERVE_ASSIGN_OR_RETURN(term.kind, TakeClusters(words));
  } else if (parts[0] == "similarity") {
    SPIKESERVE_ASSIGN_OR_RETURN(term.kind, TakeSimilarity(words));
  } else {
    return words.Error(absl::StrCat("got ", parts[0], "; need count|rate|clusters|similarity"));
  }
  SPIKESERVE_RETURN_IF_ERROR(words.CheckNothingLeft());
  return term;
}

void OptimizerFlags::AddTo(CLI::App& app) {
  AddChoice<bool>(app, "--optimizer", adam_, {{"adam", true}, {"sgd", false}}, "How the parameters follow gradients");
  const auto add = [&](const char* name, std::optional<double>& value, const char* help) {
    app.add_option(name, value, help)->type_name("NUMBER");
  };
  add("--learning-rate", learning_rate_, "The length of a step (default: adam 0.001, sgd 0.01)");
  add("--weight-decay", weight_decay_, "How much of a parameter a step takes away (default: 0)");
  add("--momentum", momentum_, "Of sgd (default: 0)");
  add("--beta1", beta1_, "Of adam: how long gradients are remembered (default: 0.9)");
  add("--beta2", beta2_, "Of adam: and their squares (default: 0.999)");
  add("--epsilon", epsilon_, "Of adam: what is added to a divisor (default: 1e-8)");
}

absl::StatusOr<Optimizer> OptimizerFlags::Get() const {
  const struct {
    const char* flag;
    const std::optional<double>& value;
    bool of_adam;
  } own[] = {{"--momentum", momentum_, false},
             {"--beta1", beta1_, true},
             {"--beta2", beta2_, true},
             {"--epsilon", epsilon_, true}};
  for (const auto& [flag, value, of_adam] : own) {
    if (value && of_adam != adam_) {
      return UsageError(absl::StrCat(flag, " is for --optimizer ", of_adam ? "adam" : "sgd"));
    }
  }
  if (adam_) {
    Adam adam;
    adam.learning_rate = learning_rate_.value_or(adam.learning_rate);
    adam.weight_decay = weight_decay_.value_or(adam.weight_decay);
    adam.beta1 = beta1_.value_or(adam.beta1);
    adam.beta2 = beta2_.value_or(adam.beta2);
    adam.epsilon = epsilon_.value_or(adam.epsilon);
    return adam;
  }
  Sgd sgd;
  sgd.learning_rate = learning_rate_.value_or(sgd.learning_rate);
  sgd.weight_decay = weight_decay_.value_or(sgd.weight_decay);
  sgd.momentum = momentum_.value_or(sgd.momentum);
  return sgd;
}

void LossFlags::AddTo(CLI::App& app, bool is_required) {
  CLI::Option* loss =
      app.add_option("--loss", losses_,
                     absl::StrCat("What is minimised: the weighted sum of these (may be repeated). KIND: count,\n"
                                  "cross entropy of spike counts; rate, squared error of firing rates; clusters,\n"
                                  "number of spike clusters; similarity, samples of a class spike alike.\n"
                                  "KEY of all: weight, layer; of clusters: t_in, n_d; of similarity: kernel (linear,\n"
                                  "polynomial, sigmoid, gaussian) with its d, alpha or sigma, loss_type (mse, l1, bce)",
                                  is_required ? "" : "\n(default: count)"))
          ->type_name("KIND[,KEY=VALUE...]")
          ->expected(1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (is_required) loss->required();
  app.add_option("--output-layer", output_layer_,
                 "The spiking layer that tells the classes apart (default: the last one)")
      ->type_name("LAYER");
  app.add_flag("--margin", margin_, "In a step, the output neurons of the label have the threshold 1.1, others 0.9");
  app.add_option("--threshold0", threshold0_, "With --margin: 0.9's place")->type_name("NUMBER");
  app.add_option("--threshold1", threshold1_, "With --margin: 1.1's place")->type_name("NUMBER");
}

absl::StatusOr<TrainStepOptions> LossFlags::Get() const {
  TrainStepOptions options;
  for (const std::string& text : losses_) {
    SPIKESERVE_ASSIGN_OR_RETURN(LossTerm term, ParseLoss(text));
    options.losses.push_back(std::move(term));
  }
  if (losses_.empty()) options.losses.push_back({.kind = CountLoss{}});
  options.output_layer = output_layer_;
  if (!margin_ && (threshold0_ || threshold1_)) return UsageError("--threshold0 and --threshold1 are for --margin");
  if (margin_) {
    options.margin.emplace();
    options.margin->threshold0 = threshold0_.value_or(options.margin->threshold0);
    options.margin->threshold1 = threshold1_.value_or(options.margin->threshold1);
  }
  return options;
}

}  // namespace spikeserve::cli

// The commands that train networks step by step.

#include <algorithm>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands/network_command.h"
#include "cli/flags.h"
#include "cli/training_flags.h"
#include "file/file.h"
#include "npz/npz.h"
#include "printable.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

// The options --gradient LAYER:PART=ARRAY.
class LayerGradientFlags {
 public:
  void AddTo(CLI::App& app) {
    app.add_option("--gradient", texts_,
                   "With respect to what a spiking layer did, [T, batch, features ...]:\n"
                   "PART is spikes, v_before_reset or v_after_reset; may be repeated")
        ->type_name("LAYER:PART=ARRAY")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }

  bool given() const { return !texts_.empty(); }

  // The gradients live in this object.
  absl::StatusOr<std::vector<LayerGradientViews>> Read() {
    std::vector<LayerGradientViews> layers;
    for (const std::string& text : texts_) {
      SPIKESERVE_RETURN_IF_ERROR(Read(text, layers));
    }
    return layers;
  }

 private:
  absl::Status Read(const std::string& text, std::vector<LayerGradientViews>& layers) {
    // Layers' names may hold colons.
    const size_t equals = text.find('=');
    const size_t colon = equals == text.npos ? text.npos : text.rfind(':', equals);
    if (colon == text.npos || colon == 0) return WrongForm(text);
    const std::string layer = text.substr(0, colon), part = text.substr(colon + 1, equals - colon - 1);
    auto views = std::find_if(layers.begin(), layers.end(), [&](const auto& known) { return known.layer == layer; });
    if (views == layers.end()) views = layers.insert(layers.end(), LayerGradientViews{layer});
    std::optional<TensorView>* view = part == "spikes"           ? &views->spikes
                                      : part == "v_before_reset" ? &views->v_before_reset
                                      : part == "v_after_reset"  ? &views->v_after_reset
                                                                 : nullptr;
    if (view == nullptr) return WrongForm(text);
    if (*view) return UsageError(absl::StrCat("--gradient: ", layer, ":", part, " is given twice"));
    absl::StatusOr<Tensor> array = npz::ReadArray(text.substr(equals + 1));
    if (!array.ok()) return file::AtPath("--gradient", array.status());
    *view = arrays_.emplace_back(*std::move(array));
    return absl::OkStatus();
  }

  static absl::Status WrongForm(const std::string& text) {
    return UsageError(absl::StrCat("--gradient: got ", text,
                                   "; need LAYER:PART=ARRAY, PART spikes, v_before_reset or v_after_reset"));
  }

  std::vector<std::string> texts_;
  std::list<Tensor> arrays_;
};

class BackwardCommand final : public ChangeCommand {
 public:
  void AddOptions(CLI::App& app) override {
    ChangeCommand::AddOptions(app);
    grad_output_.AddTo(app, "--grad-output",
                       "The loss's gradient with respect to the output, [T, batch, features ...]");
    gradients_.AddTo(app);
    app.add_flag("--grad-input", compute_grad_input_, "Return the gradient with respect to the input");
    app.add_flag("--include-gradients", include_gradients_, "Return the gradients of the parameters");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    BackwardArgs args{.network = network_,
                      .compute_grad_input = compute_grad_input_,
                      .include_gradients = include_gradients_,
                      .step = step_};
    if (!grad_output_.given() && !gradients_.given()) return UsageError("need --grad-output or --gradient");
    std::optional<Tensor> grad_output;
    if (grad_output_.given()) {
      SPIKESERVE_ASSIGN_OR_RETURN(grad_output, grad_output_.Read());
      args.grad_output = *grad_output;
    }
    SPIKESERVE_ASSIGN_OR_RETURN(args.layers, gradients_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(BackwardArgs::Result result, caller.Call(args));
    Report report;
    if (result.grad_input) report.AddArray("grad_input", *std::move(result.grad_input));
    for (const ParameterTensor& gradient : result.gradients) {
      report.AddArray(absl::StrCat(gradient.layer, "/", gradient.parameter),
                      Tensor(TensorView(absl::MakeConstSpan(gradient.values), gradient.shape)));
    }
    report.AddValue("next_step", result.next_step);
    return report;
  }

 private:
  ArrayFlag grad_output_;
  LayerGradientFlags gradients_;
  bool compute_grad_input_ = false;
  bool include_gradients_ = false;
};

class ApplyGradientsCommand final : public ChangeCommand {
 public:
  void AddOptions(CLI::App& app) override {
    ChangeCommand::AddOptions(app);
    optimizer_.AddTo(app);
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Optimizer optimizer, optimizer_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(const NextStep result, caller.Call(ApplyGradientsArgs{network_, optimizer, step_}));
    Report report;
    report.AddValue("next_step", result.next_step);
    return report;
  }

 private:
  OptimizerFlags optimizer_;
};

void AppendRate(std::string* out, const LayerRate& rate) {
  absl::StrAppend(out, Printable(rate.layer), " ", rate.rate);
}

class TrainStepCommand final : public ChangeCommand {
 public:
  void AddOptions(CLI::App& app) override {
    ChangeCommand::AddOptions(app);
    input_.AddTo(app, "--input", "[T, batch, features ...], or with --repeat-input [batch, features ...]")->required();
    labels_.AddTo(app, "--labels", "[batch], integers below --num-classes")->required();
    app.add_option("--num-classes", num_classes_, "The number of classes")->type_name("INT")->required();
    app.add_option("--repeat-input", repeat_input_, "The input is one step, which is shown so many times")
        ->type_name("INT");
    loss_.AddTo(app, /*is_required=*/true);
    optimizer_.AddTo(app);
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(TrainStepOptions options, loss_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(options.optimizer, optimizer_.Get());
    options.num_classes = num_classes_;
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor input, input_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor labels, labels_.Read());
    SPIKESERVE_ASSIGN_OR_RETURN(const TrainStepArgs::Result result,
                                caller.Call(TrainStepArgs{.network = network_,
                                                          .input = input,
                                                          .labels = labels,
                                                          .options = std::move(options),
                                                          .step = step_,
                                                          .repeat_input = repeat_input_}));
    Report report;
    report.AddValue("loss", result.loss);
    report.AddText("losses", result.losses, absl::StrCat("losses  ", absl::StrJoin(result.losses, " ")));
    report.AddValue("correct", result.correct);
    report.AddValue("accuracy", result.accuracy);
    Json rates = Json::object();
    for (const LayerRate& rate : result.spike_rates) rates[rate.layer] = rate.rate;
    report.AddText("spike_rates", std::move(rates),
                   absl::StrCat("spike_rates  ", absl::StrJoin(result.spike_rates, "  ", AppendRate)));
    report.AddValue("next_step", result.next_step);
    return report;
  }

 private:
  ArrayFlag input_;
  ArrayFlag labels_;
  int64_t num_classes_ = 0;
  std::optional<int64_t> repeat_input_;
  LossFlags loss_;
  OptimizerFlags optimizer_;
};

}  // namespace

CommandInfo NetworkBackward() {
  return DescribeNetwork<BackwardCommand>(
      "backward", "Go back through the trace: the gradients of a loss of your own",
      "spikectl network forward $NET --input x.npy --keep-trace -o run.npz --server 127.0.0.1:50051\n"
      "  spikectl network backward $NET --grad-output gradient.npy --include-gradients -o gradients.npz \\\n"
      "    --server 127.0.0.1:50051",
      /*has_arrays=*/true);
}

CommandInfo NetworkZeroGradients() {
  return DescribeNetwork<BareChangeCommand<ZeroGradientsArgs>>(
      "zero-gradients", "Set the gradients of all parameters to 0",
      "spikectl network zero-gradients $NET --server 127.0.0.1:50051");
}

CommandInfo NetworkApplyGradients() {
  return DescribeNetwork<ApplyGradientsCommand>(
      "apply-gradients", "Move the parameters by one step along the gradients",
      "spikectl network apply-gradients $NET --optimizer sgd --learning-rate 0.1 --server 127.0.0.1:50051");
}

CommandInfo NetworkTrainStep() {
  return DescribeNetwork<TrainStepCommand>(
      "train-step", "Run a batch, go back through it, and move the parameters",
      "spikectl network train-step $NET --input x.npy --labels labels.npy --num-classes 10 --loss count \\\n"
      "    --loss similarity,layer=hidden,weight=0.1 --optimizer adam --server 127.0.0.1:50051");
}

}  // namespace spikeserve::cli

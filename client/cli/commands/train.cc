#include <signal.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "cli/layers_file.h"
#include "cli/training_data.h"
#include "cli/training_flags.h"
#include "cli/training_progress.h"
#include "file/file.h"
#include "spikeserve/client/checkpoint.h"
#include "status_macros.h"
#include "train/parameters.h"
#include "train/trainer.h"

namespace spikeserve::cli {
namespace {

// While it lives, the first SIGINT or SIGTERM is only noted; the second one ends the program as ever.
class SignalNote {
 public:
  SignalNote() {
    received_ = 0;
    struct sigaction action = {};
    action.sa_handler = [](int received) {
      received_ = received;
      for (const int either : kSignals) signal(either, SIG_DFL);
    };
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &old_[i]);
  }
  ~SignalNote() {
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &old_[i], nullptr);
  }
  SignalNote(const SignalNote&) = delete;
  SignalNote& operator=(const SignalNote&) = delete;

  // 0: none.
  static int received() { return received_; }

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM};
  static volatile sig_atomic_t received_;
  struct sigaction old_[std::size(kSignals)];
};
volatile sig_atomic_t SignalNote::received_ = 0;

// The network that is trained: a file's layers, fully connected ones, or a checkpoint.
class StartFlags {
 public:
  void AddTo(CLI::App& app) {
    app.add_option("--layers", layers_, "JSON file with the layers, as for network create")->type_name("FILE");
    app.add_option("--hidden", hidden_,
                   "Fully connected layers of LIF neurons: so many in each hidden layer, such as 256 or 256,128")
        ->type_name("INT,...")
        ->delimiter(',')
        ->expected(1, 64)
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 24).description(""));
    app.add_option("--resume", checkpoint_, "Go on where the training was that wrote this checkpoint")
        ->type_name("FILE");
    app.add_option("--tau", tau_, "With --hidden: the neurons' time constant in steps (default: 2)")
        ->type_name("NUMBER");
    app.add_option("--surrogate-alpha", alpha_, "With --hidden: the slope of their sigmoid surrogate (default: 4)")
        ->type_name("NUMBER");
    app.add_option("--neurons-per-class", per_class_, "With --hidden: output neurons for each class (default: 1)")
        ->type_name("INT")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 20).description(""));
  }

  bool fully_connected() const { return !hidden_.empty(); }

  absl::Status Check() const {
    if (!hidden_.empty() + !layers_.empty() + !checkpoint_.empty() != 1) {
      return UsageError("need one of --hidden, --layers and --resume");
    }
    if (hidden_.empty() && (tau_ || alpha_ || per_class_)) {
      return UsageError("--tau, --surrogate-alpha and --neurons-per-class are for --hidden");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<CreateNetworkArgs> Make(const train::DataSet& data, int64_t num_classes, uint64_t seed) const {
    if (!checkpoint_.empty()) return ReadCheckpoint(checkpoint_);
    CreateNetworkArgs network;
    if (!layers_.empty()) {
      SPIKESERVE_ASSIGN_OR_RETURN(network.layers, ReadLayers(layers_, seed));
      return network;
    }
    train::FullyConnectedOptions options{.inputs = *ElementCount(data.features()),
                                         .hidden = hidden_,
                                         .outputs = num_classes * per_class_.value_or(1),
                                         .seed = seed};
    SPIKESERVE_RETURN_IF_ERROR(CheckSize(options));
    options.neuron.tau = tau_.value_or(2);
    options.neuron.surrogate = SigmoidSurrogate{alpha_.value_or(4)};
    network.layers = train::FullyConnected(options);
    return network;
  }

 private:
  static absl::Status CheckSize(const train::FullyConnectedOptions& options) {
    constexpr double kMaxWeights = 1 << 29;
    std::vector<int64_t> widths = options.hidden;
    widths.push_back(options.outputs);
    double weights = 0;
    int64_t inputs = options.inputs;
    for (const int64_t width : widths) {
      weights += static_cast<double>(inputs) * static_cast<double>(width);
      inputs = width;
    }
    if (weights <= kMaxWeights) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("--hidden: got ", weights, " weights; need at most 2^29"));
  }

  std::string layers_;
  std::vector<int64_t> hidden_;
  std::string checkpoint_;
  std::optional<double> tau_, alpha_;
  std::optional<int64_t> per_class_;
};

class TrainCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    data_.AddTo(app);
    start_.AddTo(app);
    const auto add = [&](const char* name, int64_t& value, int64_t least, const char* help) {
      app.add_option(name, value, help)
          ->type_name("INT")
          ->check(CLI::Range(least, int64_t{1} << 40).description(""))
          ->capture_default_str();
    };
    app.add_option("--steps", steps_, "The time steps that a constant current is shown (default: 8)")
        ->type_name("INT")
        ->check(CLI::Range(1, 1 << 30).description(""));
    add("--epochs", options_.epochs, 0, "How often all samples are trained on; with --resume in all");
    add("--batch", options_.batch_size, 1, "Samples that are trained on at a time");
    app.add_option("--seed", options_.seed, "Chooses the first parameters, the samples of --test, and their order")
        ->type_name("INT")
        ->capture_default_str();
    optimizer_.AddTo(app);
    loss_.AddTo(app, /*is_required=*/false);
    app.add_option("--num-classes", num_classes_, "The number of classes (default: the largest label + 1)")
        ->type_name("INT")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 20).description(""));
    app.add_option("--save", save_, "The checkpoint to write in the end; JSON where it ends in .json")
        ->type_name("FILE")
        ->group("Output");
    app.add_option("--save-every", save_every_, "Write it after every so many epochs, too")
        ->type_name("EPOCHS")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 40).description(""))
        ->group("Output");
    app.add_option("--curve", curve_, "The learning curve to draw, PNG or SVG by its ending")
        ->type_name("FILE")
        ->group("Output");
    app.add_flag("--quiet", quiet_, "Show no progress")->group("Output");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_RETURN_IF_ERROR(CheckUsage());
    SPIKESERVE_ASSIGN_OR_RETURN(options_.step, loss_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(options_.step.optimizer, optimizer_.Get());
    options_.call = caller.call_options();
    options_.steps = steps_.value_or(options_.steps);
    for (const std::string& path : {save_, curve_}) {
      if (!path.empty()) SPIKESERVE_RETURN_IF_ERROR(file::CheckCanWrite(path));
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const TrainingData data, data_.Read(start_.fully_connected(), options_.seed));
    options_.step.num_classes = num_classes_.value_or(data.num_classes());
    if (data.num_classes() > options_.step.num_classes) {
      return absl::InvalidArgumentError(absl::StrCat("--num-classes: got ", options_.step.num_classes,
                                                     "; need more than the largest label, ", data.num_classes() - 1));
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const CreateNetworkArgs start,
                                start_.Make(data.training, options_.step.num_classes, options_.seed));
    SPIKESERVE_ASSIGN_OR_RETURN(const Client client, caller.Connect());
    const absl::StatusOr<NetworkHandle> network = client.RestoreNetwork(start, options_.call);
    if (!network.ok()) return ServiceError(network.status());
    const train::DataSet* const test = data.test ? &*data.test : nullptr;
    absl::StatusOr<train::Trainer> trainer = train::Trainer::Create(client, *network, data.training, test, options_);
    if (!trainer.ok()) return ServiceError(trainer.status());
    return Train(*network, data, *trainer);
  }

 private:
  absl::Status CheckUsage() const {
    SPIKESERVE_RETURN_IF_ERROR(start_.Check());
    if (data_.time_dimension() && steps_) {
      return UsageError("--steps is for constant currents; with --time-dimension the data has its steps");
    }
    if (save_every_ && save_.empty()) return UsageError("--save-every needs --save FILE");
    if (!curve_.empty() && !absl::EndsWith(curve_, ".png") && !absl::EndsWith(curve_, ".svg")) {
      return UsageError(absl::StrCat("--curve: got ", curve_, "; need a name that ends in .png or .svg"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Report> Train(const NetworkHandle& network, const TrainingData& data, train::Trainer& trainer) {
    using Style = TrainingProgress::Style;
    const SignalNote signals;
    std::optional<train::Progress> last;
    TrainingHistory history;
    {
      TrainingProgress line(quiet_               ? Style::kQuiet
                            : StderrIsTerminal() ? Style::kTerminal
                                                 : Style::kLines,
                            options_.epochs);
      absl::Status saved;
      const absl::Status run = trainer.Run([&](const train::Progress& progress) {
        last = progress;
        line.Show(progress);
        if (progress.epoch_ended) {
          history.Add(progress);
          if (save_every_ && progress.epoch % *save_every_ == 0) saved = Save(network);
        }
        return saved.ok() && signals.received() == 0;
      });
      if (!run.ok()) return ServiceError(run);
      SPIKESERVE_RETURN_IF_ERROR(saved);
    }
    // What was asked for is kept before anything else is done.
    if (!save_.empty()) SPIKESERVE_RETURN_IF_ERROR(Save(network));
    Report report;
    SPIKESERVE_RETURN_IF_ERROR(AddResults(data, last, trainer, report));
    report.AddJson("history", history.ToJson());
    if (!curve_.empty() && !history.empty()) SPIKESERVE_RETURN_IF_ERROR(history.Draw(curve_));
    if (!save_.empty()) report.AddText("checkpoint", save_, "wrote " + save_);
    if (!curve_.empty() && !history.empty()) report.AddText("curve", curve_, "wrote " + curve_);
    if (const int signal = signals.received(); signal != 0) {
      report.AddText("interrupted", true,
                     absl::StrCat("interrupted", save_.empty() ? "" : ": --resume " + save_ + " goes on here"));
      report.SetExitCode(128 + signal);
    }
    return report;
  }

  absl::Status Save(const NetworkHandle& network) const {
    const absl::StatusOr<CreateNetworkArgs> checkpoint = TakeCheckpoint(network, options_.call);
    if (!checkpoint.ok()) return ServiceError(checkpoint.status());
    return WriteCheckpoint(*checkpoint, save_);
  }

  absl::Status AddResults(const TrainingData& data, const std::optional<train::Progress>& last, train::Trainer& trainer,
                          Report& report) const {
    const auto add_accuracy = [&](const char* name, const train::DataSet& samples) -> absl::Status {
      const absl::StatusOr<train::Evaluation> result = trainer.Evaluate(samples);
      if (!result.ok()) return ServiceError(result.status());
      report.AddText(
          name, result->accuracy(),
          absl::StrFormat("%-20s%.2f %% (%d of %d)", name, 100 * result->accuracy(), result->correct, result->samples));
      return absl::OkStatus();
    };
    const auto add = [&](const char* name, const Json& value, const std::string& text) {
      report.AddText(name, value, absl::StrFormat("%-20s%s", name, text));
    };
    const double epochs = static_cast<double>(trainer.steps_done()) / static_cast<double>(trainer.steps_per_epoch());
    add("epochs", epochs, absl::StrCat(epochs));
    add("steps", trainer.steps_done(), absl::StrCat(trainer.steps_done()));
    if (last) add("loss", last->loss, absl::StrFormat("%.4f", last->loss));
    SPIKESERVE_RETURN_IF_ERROR(add_accuracy("training_accuracy", data.training));
    if (data.test) SPIKESERVE_RETURN_IF_ERROR(add_accuracy("test_accuracy", *data.test));
    if (last) {
      add("seconds", absl::ToDoubleSeconds(last->run_time),
          absl::StrFormat("%.2f", absl::ToDoubleSeconds(last->run_time)));
      add("samples_per_second", SamplesPerSecond(*last), absl::StrFormat("%.0f", SamplesPerSecond(*last)));
    }
    return absl::OkStatus();
  }

  TrainingDataFlags data_;
  StartFlags start_;
  std::optional<int64_t> steps_;
  train::TrainerOptions options_ = {.step = {}, .epochs = 10};
  OptimizerFlags optimizer_;
  LossFlags loss_;
  std::optional<int64_t> num_classes_;
  std::string save_;
  std::optional<int64_t> save_every_;
  std::string curve_;
  bool quiet_ = false;
};

}  // namespace

CommandInfo Train() {
  return Describe<TrainCommand>(
      kTraining, "train", "Train a network on a file of inputs and labels",
      "spikectl train examples/data/digits.npz --input-scale 0.0625 --hidden 256 --epochs 30 --test 360 \\\n"
      "    --save net.ckpt --curve curve.png\n"
      "  spikectl train digits.npz --layers net.json --loss count --loss similarity,layer=hidden,weight=0.1 \\\n"
      "    --test test.npz --server 127.0.0.1:50051\n"
      "  spikectl train examples/data/digits.npz --input-scale 0.0625 --resume net.ckpt --epochs 40 --test 360\n\n"
      "The same command gives the same network each time. Ctrl-C ends the training after its step: the checkpoint\n"
      "is written, the report shown, and the exit code 130; --resume with the same data and options goes on as if\n"
      "nothing had been. Accuracies in the report are those of the trained network; while it trains, that on the\n"
      "training set is of each batch before its step.",
      Where::kAnywhere, /*has_arrays=*/false);
}

}  // namespace spikeserve::cli

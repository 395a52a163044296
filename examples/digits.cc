// Classifies handwritten digits with a spiking network on a server, and looks at the spikes with each of the service's
// functions. Without --server it computes in this process: everything below the line that makes the client is the same.
//
//   digits_demo [--server HOST:PORT] [--data examples/data/digits.npz] [--output demo-output]
//
// B is the number of digits of a batch, T = 32 the steps that each is shown.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "Eigen/Core"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "digits_model.h"
#include "npz/npz.h"
#include "spikeserve/client/client.h"

namespace digits {
namespace {

using spikeserve::ShapeString;
using spikeserve::Tensor;
using spikeserve::TensorView;

// Spikes of a neuron at most this many steps apart are a cluster: a digit's own neurons fire nearly that often.
constexpr int kNeighbours = 4;
constexpr int kTrainingDigits = 1000;
constexpr int kComparedPerClass = 30;

[[noreturn]] void Fail(const absl::Status& status) {
  std::cerr << "digits_demo: " << status.message() << "\n";
  std::exit(1);
}

// The table of results, which grows by a line with each step.
class Table {
 public:
  Table() { Print("STEP", "CALL", "INPUT", "RESULT", "TIME"); }

  // Makes a call that returns a StatusOr, measures it, and ends the program where it failed.
  template <typename Call>
  auto Time(Call call) {
    const absl::Time start = absl::Now();
    auto result = call();
    elapsed_ = absl::Now() - start;
    if (!result.ok()) Fail(result.status());
    return *std::move(result);
  }

  // Tells about the last call.
  void Row(std::string_view step, std::string_view call, const spikeserve::Shape& input, std::string_view result) {
    Print(step, call, input.empty() ? "" : ShapeString(input), result,
          absl::StrFormat("%.1f ms", absl::ToDoubleMilliseconds(elapsed_)));
  }

 private:
  static void Print(std::string_view step, std::string_view call, std::string_view input, std::string_view result,
                    std::string_view time) {
    std::cout << absl::StreamFormat("%-26s %-18s %-14s %-50s %9s", step, call, input, result, time) << std::endl;
  }

  absl::Duration elapsed_;
};

void Run(const spikeserve::Client& client, const std::string& data_path, const std::string& output_folder) {
  const absl::StatusOr<Digits> digits = ReadDigits(data_path);
  if (!digits.ok()) Fail(digits.status());
  const int64_t batch = digits->labels.size() - kTrainingDigits;
  if (batch <= 0) Fail(absl::InvalidArgumentError("the data has too few digits"));
  // All is learnt from the training digits, and judged on the rest.
  const Images training_images = digits->images.topRows(kTrainingDigits);
  const Labels training_labels(digits->labels.begin(), digits->labels.begin() + kTrainingDigits);
  const Labels labels(digits->labels.begin() + kTrainingDigits, digits->labels.end());
  const RowMatrix<bool> training_spikes = Encode(training_images);

  Table table;
  const RowMatrix<bool> spikes =
      table.Time([&] { return absl::StatusOr<RowMatrix<bool>>(Encode(digits->images.bottomRows(batch))); });
  table.Row("encode as spikes", "(no call)", {batch, kPixels},
            absl::StrFormat("%d steps, %d spikes for each digit", kSteps, spikes.count() / batch));
  const TensorView training_input(spikeserve::DataType::kBool, {kSteps, kTrainingDigits, kPixels},
                                  training_spikes.data());
  const TensorView input(spikeserve::DataType::kBool, {kSteps, batch, kPixels}, spikes.data());

  // The low-pass synapses smooth the output neurons' spikes, for comparing digits further down.
  spikeserve::LifNode lif;
  lif.tau = 8;
  const auto network = table.Time([&] {
    return client.CreateNetwork({{"weights", NearestMean(training_images, training_labels)},
                                 {"output", lif},
                                 {"trace", spikeserve::LowPassSynapse{.tau = 8}}});
  });
  table.Row("make the network", "CreateNetwork", {kNeurons, kPixels}, "Linear 64 -> 40, LIF tau 8, low-pass tau 8");

  // In training, the neurons of the right class have the threshold 1.1, the others 0.9: a digit counts as learnt only
  // if it is classified right in spite of that.
  const Tensor codes = table.Time(
      [&] { return client.RedundantOneHot({.labels = training_labels, .num_classes = kClasses, .n = kVotes}); });
  table.Row("code the training labels", "RedundantOneHot", {kTrainingDigits},
            absl::StrFormat("%d ones of %d for each label", kVotes, kNeurons));
  table.Time([&] { return network.SetTraining(true); });
  table.Time([&] { return network.SetThresholdMargin({.layer = "output", .label_one_hot = codes}); });
  table.Row("training: set margin", "SetThresholdMargin", codes.shape(), "threshold 1.1 for the right class, else 0.9");

  auto forward = table.Time(
      [&] { return network.Forward({.input = training_input, .records = {{.layer = "output", .spikes = true}}}); });
  const auto counts = [](const spikeserve::RecordTensors& record) {
    return PerClass(record.spikes->matrix<bool>().cast<float>().colwise().sum());
  };
  table.Row("training: run", "Forward", training_input.shape(),
            absl::StrFormat("%.1f %% right by spike count", Accuracy(counts(forward.records[0]), training_labels)));
  table.Time([&] { return network.Reset(); });
  table.Row("forget the state", "ResetNet", {}, "voltages and currents are 0, thresholds stay");

  // In evaluation the label decides nothing: the threshold is one number.
  table.Time([&] { return network.SetTraining(false); });
  const auto margin =
      table.Time([&] { return network.SetThresholdMargin({.layer = "output", .label_one_hot = codes}); });
  table.Row("evaluation: set margin", "SetThresholdMargin", codes.shape(),
            absl::StrFormat("threshold %.1f for all", margin.v_threshold.ToDoubles()[0]));
  forward = table.Time([&] {
    return network.Forward({.input = input, .records = {{.layer = "output", .spikes = true, .v_before_reset = true}}});
  });
  const auto output = forward.records[0].spikes->matrix<bool>();      // [T, B * neurons]
  const auto v = forward.records[0].v_before_reset->matrix<float>();  // the same
  table.Row("evaluation: run", "Forward", input.shape(),
            absl::StrFormat("%.1f %% right by spike count", Accuracy(counts(forward.records[0]), labels)));

  const auto clusters = table.Time([&] {
    return client.SpikeCluster({.v = v, .v_threshold = 1.0f, .options = {.t_in = kNeighbours}, .index_output = true});
  });
  const auto [right_n_o, wrong_n_o] = RightAndWrong(PerClass(clusters.n_o.matrix<float>()), labels);
  table.Row("spike clusters", "SpikeCluster", {v.rows(), v.cols()},
            absl::StrFormat("%.2f a neuron in the right class, %.2f in others", right_n_o, wrong_n_o));

  // Wanted is one cluster from each neuron of the right class, and none from the others.
  const Tensor wanted =
      table.Time([&] { return client.RedundantOneHot({.labels = labels, .num_classes = kClasses, .n = kVotes}); });
  const auto stca = table.Time([&] {
    return client.StcaLoss(
        {.v = v, .v_threshold = 1.0f, .t_in = kNeighbours, .n_d = TensorView(wanted.values<float>())});
  });
  table.Row("loss on their number", "StcaLoss", {v.rows(), v.cols()},
            absl::StrFormat("%.3f for each digit", stca.loss / batch));

  // FirstSpikeIndex wants time last. A silent neuron counts as if it fired after the last step.
  const RowMatrix<bool> trains = output.transpose();
  const Tensor first = table.Time([&] { return client.FirstSpikeIndex({.spikes = trains, .index_output = true}); });
  const Eigen::ArrayXf step = first.matrix<int32_t>().row(0).cast<float>();  // -1 in a silent neuron
  const RowMatrix<float> latency = PerClass((step < 0).select(kSteps, step));
  const auto [right_latency, wrong_latency] = RightAndWrong(latency, labels);
  table.Row("first spikes", "FirstSpikeIndex", {trains.rows(), trains.cols()},
            absl::StrFormat("step %.1f in right class, %.1f else; %.1f %% right", right_latency, wrong_latency,
                            Accuracy(-latency, labels)));

  const std::vector<int> compared = SortedByClass(labels, kComparedPerClass);
  // A digit's row: the smoothed spikes of all its neurons. (The gaussian kernel of smoothed spike trains is that of
  // their van Rossum distance. Unsmoothed, two trains that differ by a step would be as far apart as any.)
  const RowMatrix<float> by_neuron = forward.output.matrix<float>().transpose();
  const RowMatrix<float> traces =
      Eigen::Map<const RowMatrix<float>>(by_neuron.data(), batch, kNeurons * kSteps)(compared, Eigen::all);
  // About a third of the usual distance between digits of different classes.
  const spikeserve::GaussianKernel kernel{.sigma = 15};
  const Tensor similarity = table.Time([&] { return client.KernelDotProduct({.x = traces, .kernel = kernel}); });
  const RowMatrix<float> compared_codes = wanted.matrix<float>()(compared, Eigen::all);
  // 1 for pairs of one class, 0 for others.
  const RowMatrix<float> same = compared_codes * compared_codes.transpose() / kVotes;
  const auto s = similarity.matrix<float>().array();
  table.Row("compare digits", "KernelDotProduct", {traces.rows(), traces.cols()},
            absl::StrFormat("%.2f within a class, %.2f between classes", (s * same.array()).sum() / same.sum(),
                            (s * (1 - same.array())).sum() / (same.size() - same.sum())));

  const auto loss = table.Time([&] {
    return client.SpikeSimilarLoss(
        {.spikes = traces, .labels = compared_codes, .kernel = kernel, .loss_type = spikeserve::LossType::kMse});
  });
  table.Row("compare with the labels", "SpikeSimilarLoss", {traces.rows(), traces.cols()},
            absl::StrFormat("mean squared error %.4f", loss.loss));

  std::error_code error;
  std::filesystem::create_directories(output_folder, error);
  const std::string path = output_folder + "/digits_results.npz";
  const std::vector<int> shown = SortedByClass(labels, 1);
  const RowMatrix<bool> shown_pixels = InTurn(spikes, shown, kPixels);
  const RowMatrix<bool> shown_output = InTurn(output, shown, kNeurons);
  const absl::Status written = spikeserve::npz::WriteNpz(
      path, {{"pixel_spikes", shown_pixels}, {"output_spikes", shown_output}, {"similarity", similarity}});
  if (!written.ok()) Fail(written);
  std::cout << "\nWritten: " << path << std::endl;
}

}  // namespace
}  // namespace digits

int main(int argc, char** argv) {
  CLI::App app("Classifies handwritten digits with a spiking network");
  std::string server;
  std::string data = "examples/data/digits.npz";
  std::string output = "demo-output";
  app.add_option("--server", server, "HOST:PORT or unix:PATH of a server; without it the work is done in this process");
  app.add_option("--data", data, "The digits: images uint8 [N, 64], labels uint8 [N]")->capture_default_str();
  app.add_option("--output", output, "The folder for results")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto client = server.empty() ? spikeserve::Client::InProcess() : spikeserve::Client::Connect(server);
  if (!client.ok()) digits::Fail(client.status());
  digits::Run(*client, data, output);
  return 0;
}

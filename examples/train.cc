// Trains a spiking network on handwritten digits: train_demo [--server HOST:PORT] [--epochs 60]. Without a server it
// computes in this process.
//
// This is what the service does, call by call. (client/train has all of it ready: spikectl train, train/trainer.h.)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "digits_model.h"
#include "spikeserve/client/client.h"

namespace digits {
namespace {

using spikeserve::RowMatrix;
using spikeserve::TensorView;

constexpr int kStepsShown = 8, kBatch = 64, kHidden = 256, kTestDigits = 360;

// What a call returned; ends the program where it failed.
template <typename T>
T Value(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::cerr << "train_demo: " << result.status().message() << "\n";
  std::exit(1);
}

// A fully connected layer with parameters drawn as PyTorch does.
spikeserve::LinearLayer Linear(int inputs, int outputs, std::mt19937& random) {
  std::uniform_real_distribution<float> parameter(-1 / std::sqrt(inputs), 1 / std::sqrt(inputs));
  spikeserve::LinearLayer layer{.weight = RowMatrix<float>(outputs, inputs), .bias = std::vector<float>(outputs)};
  for (float& weight : layer.weight.reshaped()) weight = parameter(random);
  for (float& bias : layer.bias) bias = parameter(random);
  return layer;
}

// Leaky integrate-and-fire neurons; spikes get the derivative of a steep sigmoid.
spikeserve::LifNode Lif() {
  spikeserve::LifNode lif;
  lif.tau = 2;
  lif.surrogate = spikeserve::SigmoidSurrogate{.alpha = 4};
  return lif;
}

// All digits in a random order, but the first kTestDigits have the same part of each class.
std::vector<int> TestDigitsFirst(const Labels& labels, std::mt19937& random) {
  std::vector<int> digits(labels.size());
  std::iota(digits.begin(), digits.end(), 0);
  std::shuffle(digits.begin(), digits.end(), random);
  std::vector<double> total(kClasses), seen(kClasses), place(labels.size());
  for (const int label : labels) ++total[label];
  for (const int digit : digits) place[digit] = (seen[labels[digit]]++ + 0.5) / total[labels[digit]];
  std::stable_sort(digits.begin(), digits.end(), [&](int a, int b) { return place[a] < place[b]; });
  return digits;
}

void Run(const spikeserve::Client& client, const std::string& data_path, int epochs) {
  const Digits data = Value(ReadDigits(data_path));
  const RowMatrix<float> pixels = data.images.cast<float>() / 16;
  std::mt19937 random(1);
  std::vector<int> training = TestDigitsFirst(data.labels, random);
  const std::vector<int> test(training.begin(), training.begin() + kTestDigits);
  training.erase(training.begin(), training.begin() + kTestDigits);

  const auto network = Value(client.CreateNetwork({{"fc1", Linear(kPixels, kHidden, random)},
                                                   {"lif1", Lif()},
                                                   {"fc2", Linear(kHidden, kClasses, random)},
                                                   {"lif2", Lif()}}));
  const spikeserve::TrainStepOptions options{.optimizer = spikeserve::Adam{.learning_rate = 1e-3},
                                             .num_classes = kClasses,
                                             .losses = {{.kind = spikeserve::CountLoss{}}}};
  const RowMatrix<float> test_image = pixels(test, Eigen::all);
  const RowMatrix<float> test_currents = test_image.replicate(kStepsShown, 1);
  // Each change carries its number, and is safely made again where its answer is lost.
  uint64_t step = 0;
  double accuracy = 0;
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    std::shuffle(training.begin(), training.end(), random);
    double loss = 0, correct = 0;
    for (size_t begin = 0; begin < training.size(); begin += kBatch) {
      const std::vector<int> batch(training.begin() + begin,
                                   training.begin() + std::min(begin + kBatch, training.size()));
      const RowMatrix<float> input = pixels(batch, Eigen::all);
      std::vector<int32_t> labels;
      for (const int digit : batch) labels.push_back(data.labels[digit]);
      const auto result = Value(network.TrainStep(
          {.input = input, .labels = labels, .options = options, .step = step, .repeat_input = kStepsShown}));
      step = result.next_step;
      loss += result.loss * batch.size() / training.size();
      correct += result.correct;
    }

    const TensorView input(spikeserve::DataType::kFloat32, {kStepsShown, kTestDigits, kPixels}, test_currents.data());
    const auto forward = Value(network.Forward({.input = input, .step = step}));
    step = Value(network.Reset()).next_step;
    // The sum over the steps, [test digits, classes].
    const Eigen::Map<const RowMatrix<bool>> spikes(forward.output.values<bool>().data(), kStepsShown,
                                                   kTestDigits * kClasses);
    const Eigen::RowVectorXf counts = spikes.cast<float>().colwise().sum();
    int right = 0;
    for (int i = 0; i < kTestDigits; ++i) {
      Eigen::Index best;
      counts.segment(i * kClasses, kClasses).maxCoeff(&best);
      right += best == data.labels[test[i]];
    }
    accuracy = 100.0 * right / kTestDigits;
    std::cout << absl::StreamFormat("epoch %d/%d  loss %.4f  training %.2f%%  test %.2f%%", epoch, epochs, loss,
                                    100 * correct / training.size(), accuracy)
              << std::endl;
  }
  std::cout << absl::StreamFormat("%.2f%% of %d held-out digits are classified right\n", accuracy, kTestDigits);
}

}  // namespace
}  // namespace digits

int main(int argc, char** argv) {
  CLI::App app("Trains a spiking network on handwritten digits");
  std::string server, data = "examples/data/digits.npz";
  int epochs = 60;
  app.add_option("--server", server, "HOST:PORT or unix:PATH of a server; without it the work is done in this process");
  app.add_option("--data", data, "The digits: images uint8 [N, 64], labels uint8 [N]")->capture_default_str();
  app.add_option("--epochs", epochs, "How often all training digits are shown")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  digits::Run(digits::Value(server.empty() ? spikeserve::Client::InProcess() : spikeserve::Client::Connect(server)),
              data, epochs);
  return 0;
}

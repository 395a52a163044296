// Networks learn the handwritten digits of examples/data. The full runs are told in docs/training.md; these are
// shorter, and their bars lower.

#include <optional>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "npz/npz.h"
#include "spikeserve/client/client.h"
#include "train/data_set.h"
#include "train/parameters.h"
#include "train/trainer.h"

namespace spikeserve::train {
namespace {

class Accuracy : public ::testing::Test {
 protected:
  static DataSplit Digits(Shape features) {
    Tensor images = *npz::ReadArray(SPIKESERVE_DIGITS ":images");
    const Tensor labels = *npz::ReadArray(SPIKESERVE_DIGITS ":labels");
    const DataSet all = *MakeDataSet(std::move(images), labels, {.scale = 1.0 / 16, .features = std::move(features)});
    return *SplitByClass(all, 360, /*seed=*/1);
  }

  static LifNode Neuron() {
    LifNode neuron;
    neuron.tau = 2;
    neuron.surrogate = SigmoidSurrogate{4};
    return neuron;
  }

  // Of the 360 digits that were held out.
  double Train(std::vector<LayerSpec> layers, const DataSplit& digits, TrainerOptions options) {
    const NetworkHandle network = *client_.CreateNetwork(std::move(layers));
    options.step.num_classes = 10;
    options.seed = 1;
    Trainer trainer = *Trainer::Create(client_, network, digits.training, &digits.test, options);
    std::optional<double> accuracy;
    EXPECT_EQ(trainer.Run([&](const Progress& progress) {
      accuracy = progress.test_accuracy;
      return true;
    }),
              absl::OkStatus());
    return accuracy.value_or(0);
  }

  const Client client_ = *Client::InProcess();
};

TEST_F(Accuracy, AFullyConnectedNetworkLearnsTheDigits) {
  const DataSplit digits = Digits({64});
  ASSERT_EQ(digits.training.size(), 1437);
  ASSERT_EQ(digits.test.size(), 360);
  TrainerOptions options;
  options.step.optimizer = Adam{};
  options.step.losses = {{.kind = RateLoss{}}};
  options.steps = 8;
  options.epochs = 30;
  // Ten output neurons for each class. Measured: 96.1 %.
  EXPECT_GE(Train(FullyConnected({.inputs = 64, .hidden = {256}, .outputs = 100, .neuron = Neuron(), .seed = 1}),
                  digits, options),
            0.95);
}

// The network of examples/digits_conv.json.
std::vector<LayerSpec> Convolutional(const LifNode& neuron) {
  const auto conv = [](int64_t inputs, int64_t outputs) {
    Conv2d layer{.weight_shape = {outputs, inputs, 3, 3}, .padding = {1, 1}};
    layer.weight.resize(outputs * inputs * 9);
    layer.bias.resize(outputs);
    return layer;
  };
  std::vector<LayerSpec> layers = {
      {"conv1", conv(1, 16)},
      {"norm1", BatchNorm2d{.num_features = 16}},
      {"lif1", neuron},
      {"pool1", AvgPool2d{.kernel = {2, 2}}},
      {"conv2", conv(16, 32)},
      {"norm2", BatchNorm2d{.num_features = 32}},
      {"lif2", neuron},
      {"pool2", AvgPool2d{.kernel = {2, 2}}},
      {"flatten", Flatten{}},
      {"fc", LinearLayer{.weight = RowMatrix<float>(100, 128), .bias = std::vector<float>(100)}},
      {"out", neuron}};
  for (const size_t layer : {0, 4, 9}) {
    for (const char* parameter : {"weight", "bias"}) {
      EXPECT_EQ(DrawParameter(absl::MakeSpan(layers), layer, parameter, /*seed=*/1), absl::OkStatus());
    }
  }
  return layers;
}

TEST_F(Accuracy, AConvolutionalNetworkLearnsTheDigits) {
  TrainerOptions options;
  options.step.optimizer = Adam{.learning_rate = 0.002};
  options.step.losses = {{.kind = RateLoss{}}};
  options.steps = 4;
  options.epochs = 10;
  // Measured: 96.7 %.
  EXPECT_GE(Train(Convolutional(Neuron()), Digits({1, 8, 8}), options), 0.95);
}

}  // namespace
}  // namespace spikeserve::train

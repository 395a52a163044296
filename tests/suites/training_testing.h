// What the suites of training share: networks that learn, in the service and in the library beside it.

#ifndef SPIKESERVE_TESTS_SUITES_TRAINING_TESTING_H_
#define SPIKESERVE_TESTS_SUITES_TRAINING_TESTING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "codec/network_codec.h"
#include "codec/network_state_codec.h"
#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::testing {

// A network of every kind of parameter: 6 features, then 10 hidden neurons, then 4, of two classes.
inline std::vector<LayerSpec> TwoClassLayers() {
  PlifNode hidden;
  hidden.surrogate = SignSwishSurrogate{2};
  RifNode out;
  out.init_w = 0.25;
  out.bounds = {{-0.5, 0.75}};
  out.v_threshold = 0.75f;
  return {{.name = "first", .kind = RandomLinear(6, 10, 11)},
          {.name = "hidden", .kind = hidden},
          {.name = "synapse", .kind = LowPassSynapse{.tau = 4, .learnable = true}},
          {.name = "mask", .kind = Dropout{0.25, 42}},
          {.name = "second", .kind = RandomLinear(10, 4, 12)},
          {.name = "out", .kind = out}};
}

// Numbers, and the view of them that calls take.
struct Numbers {
  Numbers(Shape shape_in, uint32_t seed)
      : shape(std::move(shape_in)), values(RandomNumbers(*ElementCount(shape), seed)) {}

  operator TensorView() const { return {absl::MakeConstSpan(values), shape}; }  // NOLINT(google-explicit-constructor)

  Shape shape;
  std::vector<float> values;
};

// All that the layers are, to the last bit.
inline std::string BitsOf(const std::vector<LayerSpec>& layers) {
  v1::CreateNetworkRequest message;
  for (const LayerSpec& layer : layers) codec::EncodeLayer(layer, message.add_layers());
  return message.SerializeAsString();
}

// All that the network is and is in the middle of but its monitors and next_step, to the bit.
inline std::string BitsOf(const GetNetworkArgs::Result& network) {
  v1::CreateNetworkRequest message;
  codec::EncodeState(network.state, message.mutable_state());
  codec::EncodeOptimizerState(network.optimizer_state, message.mutable_optimizer_state());
  codec::EncodeParameters(network.gradients, message.mutable_gradients());
  message.set_training(network.training);
  return BitsOf(network.layers) + message.SerializeAsString();
}

// The layers that the service holds now.
inline std::string BitsOf(const NetworkHandle& network) {
  const auto got = network.Get();
  EXPECT_TRUE(got.ok()) << got.status();
  return got.ok() ? BitsOf(got->layers) : std::string();
}

inline void ExpectSame(const std::vector<ParameterTensor>& got, const std::vector<ParameterTensor>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].layer, wanted[i].layer);
    EXPECT_EQ(got[i].parameter, wanted[i].parameter);
    EXPECT_EQ(got[i].shape, wanted[i].shape) << got[i].layer << "." << got[i].parameter;
    EXPECT_EQ(got[i].values, wanted[i].values) << got[i].layer << "." << got[i].parameter;
  }
}

inline void ExpectSame(const TrainStepResult& got, const TrainStepResult& wanted) {
  EXPECT_EQ(got.loss, wanted.loss);
  EXPECT_EQ(got.losses, wanted.losses);
  EXPECT_EQ(got.correct, wanted.correct);
  EXPECT_EQ(got.accuracy, wanted.accuracy);
  ASSERT_EQ(got.spike_rates.size(), wanted.spike_rates.size());
  for (size_t i = 0; i < got.spike_rates.size(); ++i) {
    EXPECT_EQ(got.spike_rates[i].layer, wanted.spike_rates[i].layer);
    EXPECT_EQ(got.spike_rates[i].rate, wanted.spike_rates[i].rate);
  }
}

// The bytes that the service says it holds of its networks.
inline int64_t BytesHeld(const Client& client) {
  const auto networks = client.ListNetworks();
  EXPECT_TRUE(networks.ok()) << networks.status();
  int64_t bytes = 0;
  if (networks.ok()) {
    for (const auto& network : *networks) bytes += network.bytes;
  }
  return bytes;
}

// Training steps of a batch of 8, of which each has other numbers.
struct Batches {
  Numbers Input(int step) const { return Numbers({5, 8, 6}, static_cast<uint32_t>(100 + step)); }
  const std::vector<int64_t> labels = {0, 1, 1, 0, 1, 0, 0, 1};
};

// A training step that takes milliseconds, so that it can be given up in the middle.
class LongStep {
 public:
  static std::vector<LayerSpec> Layers() {
    return {{.name = "first", .kind = RandomLinear(60, 300, 21)},
            {.name = "hidden", .kind = LifNode{{}, 2}},
            {.name = "mask", .kind = Dropout{0.25, 5}},
            {.name = "second", .kind = RandomLinear(300, 20, 22)},
            {.name = "out", .kind = PlifNode()}};
  }

  TrainStepArgs Args() const {
    return {.input = input_,
            .labels = labels_,
            .options = {.optimizer = Adam{.learning_rate = 0.01},
                        .num_classes = 2,
                        .losses = {{.kind = RateLoss{}}, {.layer = "hidden", .kind = SimilarityLoss{}}},
                        .margin = TrainingMargin{}}};
  }

  // The same step of a network of the library.
  void Make(Network& network) const {
    const auto result = network.TrainStep(input_.values, input_.shape, labels_, Args().options);
    EXPECT_TRUE(result.ok()) << result.status();
  }

 private:
  const Numbers input_{{12, 32, 60}, 31};
  const std::vector<int64_t> labels_ = [] {
    std::vector<int64_t> labels(32);
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 3 == 0);
    return labels;
  }();
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUITES_TRAINING_TESTING_H_

// The parameters that learning begins with.

#ifndef SPIKESERVE_TRAIN_PARAMETERS_H_
#define SPIKESERVE_TRAIN_PARAMETERS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "spikeserve/compute/layer_spec.h"

namespace spikeserve::train {

// Draws the "weight" or "bias" of layers[index], which has its size already: uniform in +-1 / sqrt(fan_in), fan_in the
// number of inputs that a neuron has, as PyTorch does for linear and convolutional layers. (Kaiming's uniform
// distribution with a = sqrt(5).) The numbers depend on the seed, the index and the parameter alone.
// INVALID_ARGUMENT where the layer has none that is drawn.
absl::Status DrawParameter(absl::Span<LayerSpec> layers, size_t index, std::string_view parameter, uint64_t seed);

struct FullyConnectedOptions {
  int64_t inputs = 0;
  // The numbers of neurons of the layers between.
  std::vector<int64_t> hidden = {};
  int64_t outputs = 0;
  // Of all neurons.
  LifNode neuron = {};
  uint64_t seed = 0;
};

// Linear layers ("fc1", "fc2" ...) with biases, each before a layer of neurons ("lif1", "lif2" ...).
std::vector<LayerSpec> FullyConnected(const FullyConnectedOptions& options);

}  // namespace spikeserve::train

#endif  // SPIKESERVE_TRAIN_PARAMETERS_H_

// What a network is besides its layers and their parameters: what its steps and its training have left.

#ifndef SPIKESERVE_COMPUTE_NETWORK_STATE_H_
#define SPIKESERVE_COMPUTE_NETWORK_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "spikeserve/compute/optimizer.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

// A parameter's values, or others of its shape.
struct ParameterTensor {
  std::string layer;
  // "weight", "bias", "p" or "g".
  std::string parameter;
  // Of p and g: [].
  Shape shape;
  // Row-major.
  std::vector<float> values;
};

// The state of one layer since the last reset. A layer has one of the vectors, of a step's shape, or none: then it is
// in its initial state.
struct LayerState {
  std::string layer = {};
  // Of a spiking layer: the membrane voltages.
  std::vector<float> v = {};
  // Of a low-pass synapse.
  std::vector<float> current = {};
  // Of dropout: 0, or 1 / (1 - p). Empty before the first step in training.
  std::vector<float> mask = {};
  // Of dropout: how many masks were drawn, by which the next is chosen. A reset does not change it.
  uint64_t masks_drawn = 0;
};

struct NetworkState {
  // [batch, features ...] of a step's input; empty after a reset: then no layer has a vector.
  Shape sample_shape;
  // The layers that have a state, each once, in any order. Others are in their initial one.
  std::vector<LayerState> layers;
};

// What the optimiser has of the steps before.
struct OptimizerState {
  // That of the last step; nullopt before the first: then there is nothing else.
  std::optional<Optimizer> optimizer;
  int64_t steps = 0;
  // For each parameter: SGD's momentum, or Adam's mean of the gradients.
  std::vector<ParameterTensor> first_moments;
  // Adam's mean of the squared gradients; SGD has none.
  std::vector<ParameterTensor> second_moments;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_NETWORK_STATE_H_

// What a network is made of: each layer's kind and parameters.
//
// Defaults are those of the reference (SpikingFlow). Parameters of neurons are float32 when computed with.

#ifndef SPIKESERVE_COMPUTE_LAYER_SPEC_H_
#define SPIKESERVE_COMPUTE_LAYER_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

// The derivative that back-propagation uses for a spike, a function of x = v - v_threshold.
//
// alpha s(alpha x) (1 - s(alpha x)), s the logistic function.
struct SigmoidSurrogate {
  double alpha = 1.0;
};
// beta (2 - beta x tanh(beta x / 2)) / (1 + cosh(beta x)).
struct SignSwishSurrogate {
  double beta = 5.0;
};
// a where |x| <= c, else b.
struct BilinearLeakyReluSurrogate {
  double a = 1.0;
  double b = 0.01;
  double c = 0.5;
};
using Surrogate = std::variant<SigmoidSurrogate, SignSwishSurrogate, BilinearLeakyReluSurrogate>;

// Thresholds of single neurons: of shape [batch, features ...], row-major.
struct ThresholdTensor {
  Shape shape;
  std::vector<float> values;
};

// What the four neurons share.
struct NeuronSpec {
  // One for all neurons, or one for each neuron and sample. Not NaN.
  std::variant<float, ThresholdTensor> v_threshold = 1.0f;
  // The voltage after a spike (hard reset), and the initial one; finite. nullopt: the threshold is subtracted (soft
  // reset), and 0 stands for v_reset elsewhere.
  std::optional<float> v_reset = 0.0f;
  Surrogate surrogate = {};
  // Keep the voltages before the reset and the spikes of every step since the last reset.
  bool monitor = false;
};

// Integrate and fire: v = v + dv.
struct IfNode : NeuronSpec {};

// Leaky integrate and fire: v = v + (dv - (v - v_reset)) / tau.
struct LifNode : NeuronSpec {
  // In steps, finite and not 0.
  double tau = 100.0;
};

// Parametric leaky integrate and fire, with a learnable p: v = v + (dv - (v - v_reset)) p.
struct PlifNode : NeuronSpec {
  // In steps, finite and not 0.
  double init_tau = 2.0;
  // The present p; nullopt: 1 / init_tau.
  std::optional<float> p = std::nullopt;
};

// Residual integrate and fire, with a learnable g: v = (v - v_reset) w + dv.
struct RifNode : NeuronSpec {
  enum class Rule {
    kReference,   // v = (v - v_reset) w + dv, what the reference does.
    kDefinition,  // v = v + (v - v_reset) w + dv, what it documents.
  };
  // The initial w, finite, inside of the bounds.
  double init_w = -1e-3;
  // Bounds (lo, hi) of w, lo < hi: w = sigmoid(g) (hi - lo) + lo. nullopt: w = g. (The reference's amplitude A means
  // (-A, A), and w = (2 sigmoid(g) - 1) A.)
  std::optional<std::pair<double, double>> bounds = std::nullopt;
  // The present g; nullopt: the one that gives init_w.
  std::optional<float> g = std::nullopt;
  Rule rule = Rule::kReference;
};

// Fully connected: y = x weight^T + bias. Needs inputs of shape [batch, in].
struct LinearLayer {
  // [out, in].
  RowMatrix<float> weight;
  // out elements, or empty: none.
  std::vector<float> bias = {};
};

// A synapse with an exponentially decaying current: i = i - (1 - s) i / tau + s, or if it is learnable
// i = i - (1 - s) i p + s; the output is i.
struct LowPassSynapse {
  // In steps, finite and not 0.
  double tau = 100.0;
  bool learnable = false;
  // The present p of a learnable one; nullopt: 1 / tau.
  std::optional<float> p = std::nullopt;
};

// Dropout with one mask for all steps from one reset to the next; only in training. Kept values are scaled by 1/(1 -
// p).
struct Dropout {
  // In [0, 1).
  double p = 0.5;
  uint64_t seed = 0;
};

struct LayerSpec {
  // Unique in the network. Empty: the layer's index, in decimal.
  std::string name = {};
  std::variant<LinearLayer, IfNode, LifNode, PlifNode, RifNode, LowPassSynapse, Dropout> kind;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_LAYER_SPEC_H_

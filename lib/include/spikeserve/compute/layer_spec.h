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

// Lengths in the two dimensions of a plane.
struct Extent {
  int64_t height = 0;
  int64_t width = 0;
};

// A convolution of planes, as PyTorch's Conv2d: y[o] = bias[o] + the sum over the channels c of o's group of the
// cross-correlation of x[c] with weight[o][c]. Needs inputs of shape [batch, channels, height, width]; lengths below
// are at most 2^31 - 1. A plane's length L becomes floor((L + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
struct Conv2d {
  // [out, channels / groups, kernel height, kernel width], row-major; finite.
  Shape weight_shape;
  std::vector<float> weight;
  // out elements, or empty: none.
  std::vector<float> bias = {};
  // >= 1.
  Extent stride = {1, 1};
  // Zeros around the planes; >= 0.
  Extent padding = {0, 0};
  // The distance between a kernel's elements; >= 1.
  Extent dilation = {1, 1};
  // Divides `out`: the channels are cut into so many groups, of which each goes into as large a part of the outputs.
  int64_t groups = 1;
};

// The means of windows of planes, as PyTorch's AvgPool2d. Needs inputs of shape [batch, channels, height, width];
// lengths are at most 2^31 - 1. A plane's length L becomes floor((L + 2 padding - kernel) / stride) + 1.
struct AvgPool2d {
  // >= 1.
  Extent kernel;
  // >= 1; nullopt: the kernel.
  std::optional<Extent> stride = std::nullopt;
  // Zeros around the planes; at most half of the kernel.
  Extent padding = {0, 0};
  // Whether those zeros count as elements.
  bool count_include_pad = true;
};

// The maxima of windows of planes, as PyTorch's MaxPool2d; shapes as for AvgPool2d. Padding never is the maximum. The
// gradient goes to a window's first maximum, row by row.
struct MaxPool2d {
  Extent kernel;
  std::optional<Extent> stride = std::nullopt;
  Extent padding = {0, 0};
};

// Makes one dimension of several, as PyTorch's Flatten. Dimensions of a step count from 0, the batch, or backwards from
// -1, the last one.
struct Flatten {
  // Not the batch.
  int64_t start_dim = 1;
  // Not before start_dim.
  int64_t end_dim = -1;
};

// Batch normalisation, as PyTorch's BatchNorm2d: y = (x - mean) / sqrt(variance + eps) weight + bias for each channel
// of inputs of shape [batch, channels, height, width]. In training each step has its own mean and (biased) variance,
// those over batch, height and width, of which there must be at least two elements; in evaluation they are running_mean
// and running_var. Each training step moves these by `momentum` towards its mean and unbiased variance, if both are
// finite. They are parameters which no optimiser changes and a reset leaves.
struct BatchNorm2d {
  // In [1, 65536]; 0: as many as the vectors below have elements.
  int64_t num_features = 0;
  // Finite and > 0.
  double eps = 1e-5;
  // In [0, 1].
  double momentum = 0.1;
  // Whether there are a weight and a bias.
  bool affine = true;
  // num_features elements each, finite, running_var >= 0; or empty: all 1, 0, 0 and 1.
  std::vector<float> weight = {};
  std::vector<float> bias = {};
  std::vector<float> running_mean = {};
  std::vector<float> running_var = {};
};

struct LayerSpec {
  // Unique in the network. Empty: the layer's index, in decimal.
  std::string name = {};
  std::variant<LinearLayer, IfNode, LifNode, PlifNode, RifNode, LowPassSynapse, Dropout, Conv2d, AvgPool2d, MaxPool2d,
               Flatten, BatchNorm2d>
      kind;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_LAYER_SPEC_H_

// How a network's parameters follow their gradients.
//
// The numbers of an optimiser are float32 when computed with: ranges are those of float32, too.

#ifndef SPIKESERVE_COMPUTE_OPTIMIZER_H_
#define SPIKESERVE_COMPUTE_OPTIMIZER_H_

#include <variant>

#include "absl/status/status.h"

namespace spikeserve {

// Stochastic gradient descent with momentum: b = momentum b + (g + weight_decay w); w = w - learning_rate b.
struct Sgd {
  // Finite, >= 0.
  double learning_rate = 0.01;
  // In [0, 1).
  double momentum = 0.0;
  // Finite, >= 0.
  double weight_decay = 0.0;
};

// Adam (Kingma, Ba: "Adam: A Method for Stochastic Optimization", ICLR 2015), with its bias corrected and the weight
// decay decoupled from the gradient (Loshchilov, Hutter: "Decoupled Weight Decay Regularization", ICLR 2019):
//   w = w - learning_rate weight_decay w
//   m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2
//   w = w - learning_rate (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + epsilon) at step k, counted from 1.
struct Adam {
  // Finite, >= 0.
  double learning_rate = 1e-3;
  // In [0, 1).
  double beta1 = 0.9;
  double beta2 = 0.999;
  // Finite, > 0.
  double epsilon = 1e-8;
  // Finite, >= 0.
  double weight_decay = 0.0;
};

using Optimizer = std::variant<Sgd, Adam>;

// Refuses numbers out of their range. The fields are named "optimizer.sgd.learning_rate" and so on.
absl::Status CheckOptimizer(const Optimizer& optimizer);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_OPTIMIZER_H_

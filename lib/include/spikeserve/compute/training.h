// One step of supervised training: the losses on what a network's spiking layers do, and what is told of a step.

#ifndef SPIKESERVE_COMPUTE_TRAINING_H_
#define SPIKESERVE_COMPUTE_TRAINING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/optimizer.h"
#include "spikeserve/compute/spike_similar_loss.h"

namespace spikeserve {

// In all losses, B is the batch and T the steps. Where a loss tells classes apart, the layer has num_classes * n
// neurons for some n >= 1, those of class c beside each other from c * n on, as RedundantOneHot has them.

// Samples of a class are wanted to spike alike, others not: SpikeSimilarLoss of the samples' spikes, each the row of a
// sample in all steps, and their labels. Of any spiking layer.
struct SimilarityLoss {
  Kernel kernel = LinearKernel{};
  LossType loss_type = LossType::kMse;
};

// The mean over samples and neurons of (r - c)^2, r the neuron's firing rate, the part of the steps at which it fires,
// and c its element of the label's redundant one-hot code.
struct RateLoss {};

// The mean over the samples of -ln softmax(z)[label], z[c] the number of spikes of class c's neurons in all steps.
struct CountLoss {};

// STCA's loss on the number of spike clusters of each neuron, n_d for those of the label and 0 for others: the sum over
// the neurons, and the mean over the samples.
struct ClusterLoss {
  // Steps, >= 0.
  int64_t t_in = 0;
  // Finite.
  double n_d = 1;
};

struct LossTerm {
  // A spiking layer; empty: the output layer.
  std::string layer = {};
  // Finite as float32.
  double weight = 1;
  std::variant<SimilarityLoss, RateLoss, CountLoss, ClusterLoss> kind;
};

// The thresholds of the output layer during a step, threshold1 for the neurons of the label; not NaN.
struct TrainingMargin {
  double threshold0 = 0.9;
  double threshold1 = 1.1;
};

struct TrainStepOptions {
  Optimizer optimizer;
  // >= 1.
  int64_t num_classes = 0;
  // At least one; their weighted sum is minimised.
  std::vector<LossTerm> losses;
  // The spiking layer whose classes are told apart; empty: the last spiking one.
  std::string output_layer = {};
  std::optional<TrainingMargin> margin = std::nullopt;
};

struct LayerRate {
  std::string layer;
  // The part of its neurons' steps at which they fire.
  double rate;
};

struct TrainStepResult {
  // Before the update: the weighted sum, and each term without its weight.
  double loss;
  std::vector<double> losses;
  // The samples for whose class the output layer fires most (of equal ones the first), and their part of the batch.
  int64_t correct;
  double accuracy;
  // Of every spiking layer.
  std::vector<LayerRate> spike_rates;
};

// TrainStep with `wanted` = this is never given up.
inline absl::Status AlwaysWanted() { return absl::OkStatus(); }

// Network::TrainStep(input, shape, labels, options): resets the network, runs it on the input [T, B, features ...] in
// training mode, computes the losses, goes back through the steps, moves the parameters by one step of the optimiser
// along the gradients of this call alone, and resets the network again. The mode, the gradients that Backward added up,
// and the thresholds are afterwards what they were; the trace is gone.
// `wanted` is asked now and then, from any thread; an error of its ends the call and is returned.
//
// Errors, after which the network is as it was: INVALID_ARGUMENT for the errors of Forward, T or B = 0, labels of
// another number than B or outside of [0, num_classes), a layer that is unknown or does not spike or does not have
// num_classes * n neurons, a loss's parameter out of its range, kBce with a similarity outside of [0, 1] (which shows
// only when the steps have run), and those of CheckOptimizer; FAILED_PRECONDITION for a voltage or loss, a gradient, or
// after the step a parameter or what the optimiser remembers of it, that is not finite.
//
// The same network, data and options give the same bits for every executor, and on every machine of one kind.
// Surrogates with an exponential are rounded otherwise by instruction sets without fused multiply-adds; with
// BilinearLeakyReluSurrogate all agree.

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_TRAINING_H_

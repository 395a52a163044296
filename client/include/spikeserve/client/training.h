// The arguments and results of the calls that train networks which the server holds.

#ifndef SPIKESERVE_CLIENT_TRAINING_H_
#define SPIKESERVE_CLIENT_TRAINING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "spikeserve/client/networks.h"
#include "spikeserve/compute/network_state.h"
#include "spikeserve/compute/optimizer.h"
#include "spikeserve/compute/tensor.h"
#include "spikeserve/compute/training.h"

namespace spikeserve {

// The gradients of a loss with respect to what a spiking layer did: [T, batch, features ...] each, T the steps of the
// trace. Those that are nullopt are 0.
struct LayerGradientViews {
  std::string layer;
  std::optional<TensorView> spikes = std::nullopt;
  std::optional<TensorView> v_before_reset = std::nullopt;
  std::optional<TensorView> v_after_reset = std::nullopt;
};

struct BackwardArgs {
  struct Result {
    // With compute_grad_input: [T, batch, features ...].
    std::optional<Tensor> grad_input;
    // With include_gradients: of every parameter, all that Backward has added up.
    std::vector<ParameterTensor> gradients;
    uint64_t next_step;
  };
  std::string network = {};
  // With respect to the output, [T, batch, features ...]. This or `layers` is required.
  std::optional<TensorView> grad_output = std::nullopt;
  std::vector<LayerGradientViews> layers = {};
  bool compute_grad_input = false;
  bool include_gradients = false;
  // The number of this change: with it the call is retried, and done once.
  std::optional<uint64_t> step = std::nullopt;
};

struct ZeroGradientsArgs {
  using Result = NextStep;
  std::string network = {};
  // The number of this change.
  std::optional<uint64_t> step = std::nullopt;
};

struct ApplyGradientsArgs {
  using Result = NextStep;
  std::string network = {};
  Optimizer optimizer;
  // The number of this change: with it the call is retried, and done once.
  std::optional<uint64_t> step = std::nullopt;
};

struct TrainStepArgs {
  struct Result : TrainStepResult {
    uint64_t next_step;
  };
  std::string network = {};
  // [T, B, features ...], or with repeat_input [B, features ...].
  TensorView input;
  // [B], integers.
  TensorView labels;
  TrainStepOptions options;
  // The number of this change: with it the call is retried, and done once.
  std::optional<uint64_t> step = std::nullopt;
  // The input is one step, which is shown so many times: T.
  std::optional<int64_t> repeat_input = std::nullopt;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_TRAINING_H_

// The arguments and results of the calls on networks that the server holds.

#ifndef SPIKESERVE_CLIENT_NETWORKS_H_
#define SPIKESERVE_CLIENT_NETWORKS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/compute/network_state.h"
#include "spikeserve/compute/tensor.h"
#include "spikeserve/compute/threshold_margin.h"

namespace spikeserve {

struct CreateNetworkArgs {
  struct Result {
    std::string network = {};
  };
  std::vector<LayerSpec> layers;
  bool training = false;
  // With these and `training` of a GetNetworkArgs::Result the network goes on bit for bit as the other would. The
  // initial ones by default.
  NetworkState state = {};
  OptimizerState optimizer_state = {};
  std::vector<ParameterTensor> gradients = {};
};

// What a spiking layer did. Tensors that were not asked for are nullopt.
struct RecordTensors {
  std::string layer;
  std::optional<Tensor> spikes;
  std::optional<Tensor> v_before_reset;
  std::optional<Tensor> v_after_reset;
};

// The number of the network's next change.
struct NextStep {
  uint64_t next_step;
};

struct GetNetworkArgs {
  struct Result {
    // With the present parameters and thresholds.
    std::vector<LayerSpec> layers;
    bool training;
    uint64_t next_step;
    // With include_monitors, of each layer with a monitor.
    std::vector<RecordTensors> monitors;
    // With include_state, include_optimizer_state, include_gradients.
    NetworkState state;
    OptimizerState optimizer_state;
    std::vector<ParameterTensor> gradients;
  };
  std::string network = {};
  bool include_monitors = false;
  bool include_state = false;
  bool include_optimizer_state = false;
  bool include_gradients = false;
};

struct ListNetworksArgs {
  struct Entry {
    std::string network = {};
    int64_t bytes;
    absl::Duration idle;
  };
  using Result = std::vector<Entry>;
};

struct DeleteNetworkArgs {
  struct Result {};
  std::string network = {};
};

struct SetTrainingArgs {
  using Result = NextStep;
  std::string network = {};
  bool training = false;
  // The number of this change: with it the call is retried, and done once.
  std::optional<uint64_t> step = std::nullopt;
};

struct ForwardArgs {
  struct Result {
    // [T, batch, ...] (with single_step [batch, ...]): a mask where the last layer spikes, else FLOAT32.
    Tensor output;
    // In the order of the arguments.
    std::vector<RecordTensors> records;
    uint64_t next_step;
  };
  std::string network = {};
  // [T, batch, features ...], or with single_step [batch, features ...].
  TensorView input;
  bool single_step = false;
  std::vector<RecordRequest> records = {};
  // kBool or kBit.
  DataType mask_dtype = DataType::kBool;
  // The number of this change: with it the call is retried, and done once.
  std::optional<uint64_t> step = std::nullopt;
  // Keep what Backward needs of these steps, after those that are kept already.
  bool keep_trace = false;
};

// What holds for all messages of a NetworkRun.
struct RunArgs {
  std::string network = {};
  // The inputs are one step each, [batch, features ...].
  bool single_step = false;
  // To be returned with each output.
  std::vector<RecordRequest> records = {};
  // kBool or kBit.
  DataType mask_dtype = DataType::kBool;
};

struct SetThresholdMarginArgs {
  struct Result {
    // FLOAT32: in training of the shape of label_one_hot, else a scalar.
    Tensor v_threshold;
    uint64_t next_step;
  };
  std::string network = {};
  std::string layer;
  // [batch, features ...].
  TensorView label_one_hot;
  ThresholdMarginOptions options = {};
  // The number of this change.
  std::optional<uint64_t> step = std::nullopt;
};

struct ResetNetArgs {
  using Result = NextStep;
  std::string network = {};
  // The number of this change.
  std::optional<uint64_t> step = std::nullopt;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_NETWORKS_H_

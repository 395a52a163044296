// A spiking network: a list of layers that run step by step and keep their state.

#ifndef SPIKESERVE_COMPUTE_NETWORK_H_
#define SPIKESERVE_COMPUTE_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/threshold_margin.h"

namespace spikeserve {

class LayerMemory;   // internal
class NetworkLayer;  // internal

// Which records of a spiking layer Forward makes.
struct RecordRequest {
  std::string layer;
  bool spikes = false;
  bool v_before_reset = false;
  bool v_after_reset = false;
};

// What a spiking layer did at each step. Vectors that were not asked for are empty; the others are of `shape`,
// row-major.
struct LayerRecord {
  std::string layer;
  // [T, batch, features ...].
  Shape shape;
  std::vector<uint8_t> spikes;
  std::vector<float> v_before_reset;
  std::vector<float> v_after_reset;
};

struct ForwardResult {
  // [T, batch, features ...].
  Shape shape;
  // Row-major, of `shape`.
  std::vector<float> output;
  // Whether the output is spikes (0/1): the last layer is a spiking one.
  bool output_is_spikes;
  // In the order of the request.
  std::vector<LayerRecord> records;
};

// Thread rule: thread-compatible (calls that change the network need exclusion; its user serialises them).
// Errors name the operand as the field of the request; a layer of the specification as "layers[2].linear.weight". A
// call that fails leaves the network as it was. Forward called once with T steps, or T times with one, gives the same
// bits.
class Network {
 public:
  // A network in evaluation mode and initial state. INVALID_ARGUMENT for an empty list, two layers of one name, a
  // parameter out of its range, or linear layers that do not fit each other (named by layer).
  static absl::StatusOr<Network> Create(std::vector<LayerSpec> layers);

  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;
  ~Network();

  // The layers with their present parameters and thresholds: Create with them makes a copy in its initial state.
  std::vector<LayerSpec> Spec() const;

  bool training() const { return training_; }
  void SetTraining(bool training) { training_ = training; }

  // Runs T steps. `input` is row-major of `shape` [T, batch, features ...], T < 2^31; T and batch may be 0. The first
  // step after a reset (or at all) settles the batch and the features; INVALID_ARGUMENT for others before the next
  // reset, for a shape that a layer cannot take, for thresholds that do not have the shape of the layer's input, NaN in
  // input, and a record of a layer that is unknown or does not spike.
  absl::StatusOr<ForwardResult> Forward(absl::Span<const float> input, const Shape& shape,
                                        absl::Span<const RecordRequest> records = {},
                                        Executor& executor = InlineExecutor());

  // Sets the thresholds of a spiking layer: in training one for each neuron (of `shape`, that of label_one_hot), in
  // evaluation eval_threshold for all. Returns what was set. INVALID_ARGUMENT for a layer that is unknown or does not
  // spike, and the errors of TrainingThresholds.
  absl::StatusOr<std::variant<float, ThresholdTensor>> SetThresholdMargin(std::string_view layer,
                                                                          absl::Span<const double> label_one_hot,
                                                                          const Shape& shape,
                                                                          const ThresholdMarginOptions& options);

  // Every layer's state returns to its initial one: voltages, currents, dropout masks, monitors. Thresholds, parameters
  // and the mode stay.
  void Reset();

  // The state that TakeState took out of a network, to be put back or dropped.
  struct State {
    State();
    State(State&&) noexcept;
    ~State();
    std::vector<std::unique_ptr<LayerMemory>> layers;
    Shape sample_shape;
  };
  // Reset that can be undone: PutState on the same network makes it what it was, whatever ran in between.
  State TakeState();
  void PutState(State state);

  // The records of the layers with a monitor: spikes and v_before_reset of all steps since the last reset, of
  // shape [0] before the first.
  std::vector<LayerRecord> Monitors() const;

  // The memory that parameters, state and monitors take, in bytes.
  int64_t ByteSize() const;

  // The most that one Forward on an input of `shape` adds to ByteSize, plus what its result takes; for deciding whether
  // to allow it. INVALID_ARGUMENT as for Forward.
  absl::StatusOr<int64_t> ForwardByteSize(const Shape& shape, absl::Span<const RecordRequest> records) const;

 private:
  explicit Network(std::vector<std::unique_ptr<NetworkLayer>> layers);

  std::vector<std::unique_ptr<NetworkLayer>> layers_;
  bool training_ = false;
  // [batch, features ...] since the first step after a reset; empty before.
  Shape sample_shape_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_NETWORK_H_

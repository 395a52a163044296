// A spiking network: a list of layers that run step by step and keep their state.

#ifndef SPIKESERVE_COMPUTE_NETWORK_H_
#define SPIKESERVE_COMPUTE_NETWORK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/network_state.h"
#include "spikeserve/compute/optimizer.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/threshold_margin.h"
#include "spikeserve/compute/training.h"

namespace spikeserve {

// Internal.
class NetworkLayer;
struct ForwardPlan;
struct Learning;
struct Trace;

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

struct ForwardOptions {
  absl::Span<const RecordRequest> records = {};
  // Keep what Backward needs of these steps, after those that are kept already. A Forward that does not drops the
  // trace.
  bool keep_trace = false;
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

// The gradients of a loss with respect to what a spiking layer did. Empty ones are 0; the others are row-major of
// [T, batch, features ...], T the steps of the trace.
struct LayerGradient {
  std::string layer;
  absl::Span<const float> spikes = {};
  absl::Span<const float> v_before_reset = {};
  absl::Span<const float> v_after_reset = {};
};

struct BackwardOptions {
  // With respect to the output, as LayerGradient's are.
  absl::Span<const float> grad_output = {};
  absl::Span<const LayerGradient> layers = {};
  // Whether the gradient with respect to the input is wanted.
  bool compute_grad_input = false;
};

struct BackwardResult {
  // With compute_grad_input: of the trace's input, [T, batch, features ...]. Otherwise empty.
  Shape shape;
  std::vector<float> grad_input;
};

// Thread rule: thread-compatible (calls that change the network need exclusion; its user serialises them).
// Errors name the operand as the field of the request; a layer of the specification as "layers[2].linear.weight". A
// call that fails leaves the network as it was. Forward called once with T steps, or T times with one, gives the same
// bits; gradients then agree to rounding. No result depends on the executor's threads. Only the gradients of surrogates
// with an exponential depend on the machine, in their rounding.
//
// The trace is what Backward needs of the steps since it began. It goes with Backward, a reset, a Forward that does not
// keep it, and whatever changes thresholds, parameters or the mode.
class Network {
 public:
  // A network in evaluation mode and initial state. INVALID_ARGUMENT for an empty list, two layers of one name, a
  // parameter out of its range, or layers that do not fit each other (named by layer).
  static absl::StatusOr<Network> Create(std::vector<LayerSpec> layers);

  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;
  ~Network();

  // The layers with their present parameters and thresholds: Create with them makes a copy in its initial state.
  std::vector<LayerSpec> Spec() const;

  // The layers, and what Spec takes.
  int64_t layer_count() const { return static_cast<int64_t>(layers_.size()); }
  int64_t SpecByteSize() const;

  bool training() const { return training_; }
  void SetTraining(bool training);

  // Runs T steps. `input` is row-major of `shape` [T, batch, features ...], T < 2^31; T and batch may be 0. The first
  // step after a reset (or at all) settles the batch and the features; INVALID_ARGUMENT for others before the next
  // reset, for a shape that a layer cannot take, for thresholds that do not have the shape of the layer's input, NaN in
  // input, and a record of a layer that is unknown or does not spike. A call that takes long asks again and again,
  // from any thread and from several at once, whether it is still `wanted`, here and below; the first error that it
  // gets ends it soon, and is what it returns.
  absl::StatusOr<ForwardResult> Forward(absl::Span<const float> input, const Shape& shape,
                                        const ForwardOptions& options = {}, Executor& executor = InlineExecutor(),
                                        absl::FunctionRef<absl::Status()> wanted = AlwaysWanted);

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

  // Resets the network and calls `run`, which may do with it what Forward does. Where that fails, its error, and the
  // network is what it was before the reset.
  absl::Status ResetAndRun(absl::FunctionRef<absl::Status()> run);

  // --- Learning.

  // Back-propagation through the trace's steps, from the last one to the first, with the layers' surrogates for the
  // derivatives of spikes, and through resets. The voltages that the trace began with count as constants. Adds the
  // gradients of the parameters to those that are there, and drops the trace.
  // Errors: FAILED_PRECONDITION without a trace; INVALID_ARGUMENT for gradients of another size than the trace's steps
  // have, NaN in them, no gradient at all, and a layer that is unknown or does not spike.
  absl::StatusOr<BackwardResult> Backward(const BackwardOptions& args, Executor& executor = InlineExecutor(),
                                          absl::FunctionRef<absl::Status()> wanted = AlwaysWanted);

  // What its result takes, in bytes.
  int64_t BackwardResultByteSize(const BackwardOptions& options) const;

  // The most that Backward takes in passing, beside gradients and results.
  int64_t BackwardByteSize() const;

  // The steps in the trace.
  int64_t trace_steps() const;
  // The shape of the gradients that Backward takes of a layer's spikes and voltages, of an empty name of the output:
  // [T, batch, features ...]. nullopt without a trace, and where no layer has that name.
  std::optional<Shape> TracedShape(std::string_view layer = {}) const;

  // The gradients that Backward has added up.
  std::vector<ParameterTensor> Gradients() const;
  void ZeroGradients();
  // INVALID_ARGUMENT, with nothing changed, for ones that do not fit the parameters.
  absl::Status SetGradients(absl::Span<const ParameterTensor> gradients);

  // Moves the parameters by one step of the optimiser along the gradients, which stay. The optimiser's memory begins
  // anew where the kind of optimiser is another than that of the last step.
  // Errors, with nothing changed: those of CheckOptimizer; FAILED_PRECONDITION for a gradient that is not finite, and a
  // step after which a parameter, or what the optimiser remembers of it, would not be.
  absl::Status ApplyGradients(const Optimizer& optimizer, Executor& executor = InlineExecutor(),
                              absl::FunctionRef<absl::Status()> wanted = AlwaysWanted);

  // Resets the network, runs it in training mode, and learns from the result: see training.h.
  absl::StatusOr<TrainStepResult> TrainStep(absl::Span<const float> input, const Shape& shape,
                                            absl::Span<const int64_t> labels, const TrainStepOptions& options,
                                            Executor& executor = InlineExecutor(),
                                            absl::FunctionRef<absl::Status()> wanted = AlwaysWanted);

  // About the most memory that TrainStep takes in passing and leaves behind, and the part of it that is its trace's;
  // for deciding whether to allow it. Errors: those of TrainStep that do not depend on the labels.
  struct TrainStepMemory {
    int64_t bytes;
    int64_t trace_bytes;
  };
  absl::StatusOr<TrainStepMemory> TrainStepByteSize(const Shape& shape, const TrainStepOptions& options) const;

  // --- What is beside the layers. With these of another network, its gradients and mode, one of the same layers
  // continues bit for bit. The elements of each take ...ByteSize.

  NetworkState State() const;
  int64_t StateByteSize() const;
  // INVALID_ARGUMENT, with nothing changed, for a state that does not fit the layers. Monitors begin anew.
  absl::Status SetState(const NetworkState& state);

  OptimizerState GetOptimizerState() const;
  int64_t OptimizerByteSize() const;
  // INVALID_ARGUMENT, with nothing changed, for one that does not fit the parameters.
  absl::Status SetOptimizerState(const OptimizerState& state);

  // The records of the layers with a monitor: spikes and v_before_reset of all steps since the last reset, of
  // shape [0] before the first.
  std::vector<LayerRecord> Monitors() const;
  int64_t MonitorByteSize() const;

  // The memory that parameters, state, monitors, trace, gradients and optimiser take, in bytes.
  int64_t ByteSize() const;

  // The most that one Forward on an input of `shape` adds to ByteSize but for the trace, plus what its result takes;
  // for deciding whether to allow it. INVALID_ARGUMENT as for Forward.
  absl::StatusOr<int64_t> ForwardByteSize(const Shape& shape, absl::Span<const RecordRequest> records) const;
  // The most that the trace takes afterwards if it is kept, and what it takes now.
  absl::StatusOr<int64_t> TraceByteSize(const Shape& shape) const;
  int64_t trace_bytes() const;
  // The memory of one number for each parameter: gradients take one, optimisers up to two.
  int64_t ParameterByteSize() const;

 private:
  explicit Network(std::vector<std::unique_ptr<NetworkLayer>> layers);

  // Forward, when nothing can fail any more but that it is no longer wanted; what it has changed then is left changed.
  // Where `executor` stops by itself, `wanted` tells. `spike_counts`, one for each layer, may be null.
  absl::StatusOr<ForwardResult> RunForward(absl::Span<const float> input, const ForwardPlan& plan,
                                           absl::Span<const RecordRequest> records, Trace* trace,
                                           std::vector<double>* spike_counts, Executor& executor,
                                           absl::FunctionRef<absl::Status()> wanted);

  std::vector<std::unique_ptr<NetworkLayer>> layers_;
  bool training_ = false;
  // [batch, features ...] since the first step after a reset; empty before.
  Shape sample_shape_;
  std::unique_ptr<Learning> learning_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_NETWORK_H_

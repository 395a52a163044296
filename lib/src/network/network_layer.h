// One layer of a Network: its parameters, and its state since the last reset.

#ifndef SPIKESERVE_SRC_NETWORK_NETWORK_LAYER_H_
#define SPIKESERVE_SRC_NETWORK_NETWORK_LAYER_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/network_state.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

class SpikingLayer;

// What the layers before one fix of a step's shape behind the batch: nullopt where nothing; kAnyLength for a length
// that is not known.
using KnownShape = std::optional<Shape>;
inline constexpr int64_t kAnyLength = -1;

// "[3, *]".
std::string KnownShapeString(const Shape& known);

// A parameter that is learnt.
struct Parameter {
  // The name in requests, such as "weight".
  const char* name;
  absl::Span<float> values;
  // The shape that others see, and whether the values are those of its matrix transposed: [shape[0], all others].
  Shape shape;
  bool transposed = false;
};

// A block of steps that a layer runs. Values are row-major, of shape [steps, batch, features ...].
struct ForwardBlock {
  int64_t steps;
  absl::Span<const float> input;
  // Does not overlap the input.
  absl::Span<float> output;
  // What the layer keeps for Backward, KeptSize elements; empty where there is no trace.
  absl::Span<float> kept;
};

// The same block, when the loss's gradient goes back through it.
struct BackwardBlock {
  int64_t steps;
  // Empty where Needs says that they are not needed.
  absl::Span<const float> input;
  absl::Span<const float> output;
  absl::Span<const float> kept;
  absl::Span<const float> grad_output;
  // To be filled in; empty where nobody wants it.
  absl::Span<float> grad_input;
  // Of a spiking layer, the gradients with respect to its voltages; empty: 0.
  absl::Span<const float> grad_v_before_reset;
  absl::Span<const float> grad_v_after_reset;
  // One for each of the layer's parameters, to which its gradient is added.
  absl::Span<const absl::Span<float>> gradients;
};

// What a layer was before a call that may have to be undone: its state since the last reset, and more that a step
// changes.
class LayerMemory {
 public:
  virtual ~LayerMemory() = default;
};

// A Network checks a layer once (Check); then, for each Forward, it checks the shapes of all layers (OutputShape), lets
// all of them allocate what the call needs (Prepare), and only then runs them. So a call that fails has changed
// nothing, and a step allocates nothing.
class NetworkLayer {
 public:
  explicit NetworkLayer(std::string name) : name_(std::move(name)) {}
  virtual ~NetworkLayer() = default;

  const std::string& name() const { return name_; }

  // What a request calls the layer, such as "layers[2].linear"; for errors of later calls.
  void set_field(std::string field) { field_ = std::move(field); }

  // Refuses parameters out of their range; `field` is what a request calls this layer, such as "layers[2].linear".
  // `shape` is what is known of the input, and then of the output.
  virtual absl::Status Check(std::string_view field, KnownShape& shape) const = 0;

  // The layer with its present parameters.
  virtual decltype(LayerSpec::kind) Kind() const = 0;

  // The shape of a step's output for an input of shape `input`, [batch, features ...]. Errors blame Forward's input.
  virtual absl::StatusOr<Shape> OutputShape(const Shape& input) const { return input; }
  // Refuses an input of a shape that OutputShape takes where training needs more.
  virtual absl::Status CheckTraining(const Shape& /*input*/) const { return absl::OkStatus(); }

  // About how many multiplications a step takes, from `input` to `output`, where no element is 0.
  virtual double StepWork(const Shape& input, const Shape& output) const;

  // Tells the layer what it is about to run forth or back: steps with inputs of shape `input`, and the mode. What a
  // layer keeps of these holds until the next such call only, since a trace may be gone back through after a call that
  // was on others and has been undone.
  virtual void SetStep(const Shape& /*input*/, bool /*training*/) {}

  // Behind SetStep, before Forward. Allocates the state, if it is not yet there, and what else `steps` >= 1 steps with
  // inputs of shape `input`, of which at most `block` at a time, need.
  virtual void Prepare(const Shape& input, int64_t steps, int64_t block, bool training, Executor& executor);
  // What Prepare would add to ByteSize; 2^63 - 1 where that is more.
  virtual int64_t PrepareByteSize(const Shape& input, int64_t steps, int64_t block, bool training) const;

  // Runs a block of steps. Each output is computed in an order of its own, so the bits depend neither on the executor
  // nor on the batch nor on how the steps are cut into blocks.
  virtual void Forward(const ForwardBlock& block, Executor& executor) = 0;

  // --- Back-propagation.

  // What Backward needs of a block beside what the layer keeps itself.
  struct Needs {
    bool input = false;
    bool output = false;
  };
  virtual Needs BackwardNeeds() const { return {}; }
  // The elements that Forward keeps of `steps` steps with inputs of shape `input`.
  virtual int64_t KeptSize(const Shape& /*input*/, int64_t /*steps*/) const { return 0; }

  // The parameters that are learnt, always the same ones in the same order.
  virtual std::vector<Parameter> Parameters() { return {}; }

  // Goes back through the blocks of a trace, from the last one on; `is_last` for that.
  virtual void Backward(const BackwardBlock& block, bool is_last, Executor& executor) = 0;
  // Frees what Backward keeps from one block to the next, a number for each neuron at most.
  virtual void EndBackward() {}

  // --- State.

  // Returns the state to the initial one and frees it.
  virtual void Reset() {}

  // Takes the layer's memory out of it, which is then as after a reset.
  virtual std::unique_ptr<LayerMemory> Take() { return nullptr; }
  // Puts back what Take gave.
  virtual void Put(std::unique_ptr<LayerMemory>) {}

  // A copy of what a Forward changes, and the way back to it behind one that was given up. What only grows is not
  // copied.
  virtual std::unique_ptr<LayerMemory> Mark() const { return nullptr; }
  virtual void Rewind(std::unique_ptr<LayerMemory> mark) { Put(std::move(mark)); }

  // The state by the names of its parts; empty after a reset.
  virtual LayerState State() const { return {}; }
  // What its vectors take.
  virtual int64_t StateByteSize() const { return 0; }
  // Sets the state for steps of shape `input`; without parts it is that of a new layer. INVALID_ARGUMENT, with nothing
  // changed, for parts of other sizes and those that the layer does not have; `field` is what a request calls the
  // state.
  virtual absl::Status SetState(std::string_view field, const Shape& input, const LayerState& state);

  // The memory that parameters, state and monitor take.
  virtual int64_t ByteSize() const = 0;

  // This layer, if it is a spiking one, else null.
  virtual SpikingLayer* spiking() { return nullptr; }

 protected:
  // The error of OutputShape and CheckTraining.
  absl::Status WrongInput(const Shape& input, std::string_view needed) const;

 private:
  std::string name_;
  std::string field_;
};

// Makes the layer that `spec` describes and checks it as Check does. `field` is such as "layers[2]".
absl::StatusOr<std::unique_ptr<NetworkLayer>> MakeNetworkLayer(std::string_view field, LayerSpec spec,
                                                               KnownShape& shape);

// The shortest range of elements that is worth a thread.
inline constexpr int64_t kElementGrain = 1 << 14;

// Sums of sizes, which stay at 2^63 - 1 where they would be above it. nullopt stands for what is above it already.
inline int64_t AddBytes(int64_t a, std::optional<int64_t> b) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return b.has_value() && *b <= kMax - a ? a + *b : kMax;
}

// The same for products of numbers >= 0.
inline int64_t TimesBytes(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<int64_t>::max() : product;
}

// Those of a shape, to count work with.
double Elements(const Shape& shape);

// The shape of `steps` steps of shape `step`, and their bytes.
Shape WithSteps(int64_t steps, const Shape& step);
int64_t StepBytes(DataType dtype, int64_t steps, const Shape& step);

// Refuses a time constant that is not finite, or 0, as the float32 it is computed with.
absl::Status CheckTau(std::string_view field, double tau);

// Refuses what the state of a layer does not have whose state is `own`: "v", "current", "mask" or nothing.
absl::Status CheckStateParts(std::string_view field, const LayerState& state, std::string_view own);

// Refuses values that are not those of a step of shape `input`, or NaN. None stand for the initial ones.
absl::Status CheckStatePart(std::string_view field, const Shape& input, absl::Span<const float> values);

// Refuses a parameter that is not finite as float32.
absl::Status CheckFinite(std::string_view field, double value);
absl::Status CheckFinite(std::string_view field, absl::Span<const float> values);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_NETWORK_LAYER_H_

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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

class SpikingLayer;

// What a layer was before a call that may have to be undone: its state since the last reset, and more that a step
// changes.
class LayerMemory {
 public:
  virtual ~LayerMemory() = default;
};

// A Network checks a layer once (Check); then, for each Forward, it checks the shapes of all layers (OutputShape), lets
// all of them allocate what the call needs (Prepare), and only then runs them (Step). So a call that fails has changed
// nothing, and a step allocates nothing.
//
// A step's values are row-major of shape [batch, features ...].
class NetworkLayer {
 public:
  explicit NetworkLayer(std::string name) : name_(std::move(name)) {}
  virtual ~NetworkLayer() = default;

  const std::string& name() const { return name_; }

  // Refuses parameters out of their range; `field` is what a request calls this layer, such as "layers[2].linear".
  // `features` is how many features the layers before give, where they fix it, and then how many this one gives.
  virtual absl::Status Check(std::string_view field, std::optional<int64_t>& features) const = 0;

  // The layer with its present parameters.
  virtual decltype(LayerSpec::kind) Kind() const = 0;

  // The shape of a step's output for an input of shape `input`. Errors blame Forward's input.
  virtual absl::StatusOr<Shape> OutputShape(const Shape& input) const { return input; }

  // Allocates the state, if it is not yet there, and what else `steps` >= 1 steps with inputs of shape `input` need.
  virtual void Prepare(const Shape& input, int64_t steps, bool training);
  // What Prepare would add to ByteSize; 2^63 - 1 where that is more.
  virtual int64_t PrepareByteSize(const Shape& input, int64_t steps, bool training) const;

  // Runs one step. `output` has the size that OutputShape says and does not overlap `input`. Each output is computed in
  // an order of its own, so the bits depend neither on the executor nor on the batch.
  virtual void Step(absl::Span<const float> input, absl::Span<float> output, Executor& executor) = 0;

  // Returns the state to the initial one and frees it.
  virtual void Reset() {}

  // Takes the layer's memory out of it, which is then as after a reset.
  virtual std::unique_ptr<LayerMemory> Take() { return nullptr; }
  // Puts back what Take gave.
  virtual void Put(std::unique_ptr<LayerMemory>) {}

  // The memory that parameters, state and monitor take.
  virtual int64_t ByteSize() const = 0;

  // This layer, if it is a spiking one, else null.
  virtual SpikingLayer* spiking() { return nullptr; }

 private:
  std::string name_;
};

// Makes the layer that `spec` describes and checks it as Check does. `field` is such as "layers[2]".
absl::StatusOr<std::unique_ptr<NetworkLayer>> MakeNetworkLayer(std::string_view field, LayerSpec spec,
                                                               std::optional<int64_t>& features);

// The shortest range of elements that is worth a thread.
inline constexpr int64_t kElementGrain = 1 << 14;

// Sums of sizes, which stay at 2^63 - 1 where they would be above it. nullopt stands for what is above it already.
inline int64_t AddBytes(int64_t a, std::optional<int64_t> b) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return b.has_value() && *b <= kMax - a ? a + *b : kMax;
}

// The shape of `steps` steps of shape `step`, and their bytes.
Shape WithSteps(int64_t steps, const Shape& step);
int64_t StepBytes(DataType dtype, int64_t steps, const Shape& step);

// Refuses a time constant that is not finite, or 0, as the float32 it is computed with.
absl::Status CheckTau(std::string_view field, double tau);

// Refuses a parameter that is not finite as float32.
absl::Status CheckFinite(std::string_view field, double value);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_NETWORK_LAYER_H_

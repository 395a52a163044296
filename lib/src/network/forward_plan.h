// What a Forward does, once everything about it but the elements is known to be right.

#ifndef SPIKESERVE_SRC_NETWORK_FORWARD_PLAN_H_
#define SPIKESERVE_SRC_NETWORK_FORWARD_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "network/network_layer.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

using Layers = std::vector<std::unique_ptr<NetworkLayer>>;

// The indices of the layers by name.
using LayerIndex = absl::flat_hash_map<std::string, size_t>;
LayerIndex IndexOf(const Layers& layers);

// The index of the spiking layer `name`; `field` is the operand that names it.
absl::StatusOr<size_t> FindSpikingLayer(const Layers& layers, const LayerIndex& index, std::string_view name,
                                        std::string_view field);

std::string Quoted(std::string_view name);

struct ForwardPlan {
  int64_t steps;
  // The steps that a layer runs at a time.
  int64_t block;
  // One step of the input, [batch, features ...].
  Shape sample;
  // What a step of each layer gives.
  std::vector<Shape> step_shapes;
  // Of all layers and steps: see NetworkLayer::StepWork.
  double work;
  // For each record the index of its layer.
  std::vector<size_t> recorded;

  // Whether there is anything to compute. A step without elements has none in any layer.
  bool empty() const { return steps == 0 || ElementCount(sample) == 0; }
  // What goes into layer i, and what comes out.
  const Shape& input_shape(size_t i) const { return i == 0 ? sample : step_shapes[i - 1]; }
  int64_t output_size(size_t i) const { return *ElementCount(step_shapes[i]); }
};

// `settled` is the shape of the network's state, empty after a reset; `shape` that of the input.
absl::StatusOr<ForwardPlan> PlanForward(const Layers& layers, bool training, const Shape& settled, const Shape& shape,
                                        absl::Span<const RecordRequest> records);

// Whether so much work may take more than some milliseconds, so that it is worth asking on the way whether it is still
// wanted, and keeping what undoes it.
inline bool TakesLong(double work) { return work >= 1 << 24; }

// Refuses values of another number than the shape says, and NaN; `field` names them. Many are looked at for as long as
// that is `wanted`.
absl::Status CheckValues(std::string_view field, absl::Span<const float> values, const Shape& shape,
                         absl::FunctionRef<absl::Status()> wanted);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_FORWARD_PLAN_H_

// What a network has for learning: the trace of its steps, gradients, and the optimiser's memory.

#ifndef SPIKESERVE_SRC_NETWORK_LEARNING_H_
#define SPIKESERVE_SRC_NETWORK_LEARNING_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "network/forward_plan.h"
#include "network/trace.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/network_state.h"
#include "spikeserve/compute/optimizer.h"

namespace spikeserve {

// For each layer and each of its parameters as many numbers as that has, in the same order.
using ParameterNumbers = std::vector<std::vector<std::vector<float>>>;

// All 0.
ParameterNumbers ZerosFor(const Layers& layers);
int64_t ByteSize(const ParameterNumbers& numbers);
// What they would take for the layers.
int64_t ByteSizeFor(const Layers& layers);

// The numbers as others see them; empty `numbers` are zeros.
std::vector<ParameterTensor> Export(const Layers& layers, const ParameterNumbers& numbers);
// The other way. INVALID_ARGUMENT where there is not exactly one of each parameter, of its shape and finite; `field` is
// what a request calls them.
absl::StatusOr<ParameterNumbers> Import(std::string_view field, const Layers& layers,
                                        absl::Span<const ParameterTensor> tensors);

// Of the values 0 ... n of a trace, of n layers, which are needed for Backward.
std::vector<bool> TracedValuesOf(const Layers& layers);

// The optimiser's memory.
struct OptimizerMemory {
  // That of the last step.
  std::optional<Optimizer> optimizer;
  int64_t steps = 0;
  // Empty before the first step; `second` is Adam's only.
  ParameterNumbers first;
  ParameterNumbers second;
};

// Moves the parameters by one step. Nothing has changed where it fails: FAILED_PRECONDITION for a gradient that is not
// finite, or a parameter that would not be; and where it is no longer `wanted`. An optimiser of another kind than the
// last one begins anew.
absl::Status UpdateParameters(const Layers& layers, const ParameterNumbers& gradients, const Optimizer& optimizer,
                              OptimizerMemory& memory, Executor& executor, absl::FunctionRef<absl::Status()> wanted);

struct Learning {
  Trace trace;
  // Empty: all 0.
  ParameterNumbers gradients;
  OptimizerMemory optimizer;

  int64_t ByteSize() const;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_LEARNING_H_

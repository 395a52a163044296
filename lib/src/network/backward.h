// Back-propagation through the steps of a trace.

#ifndef SPIKESERVE_SRC_NETWORK_BACKWARD_H_
#define SPIKESERVE_SRC_NETWORK_BACKWARD_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "network/learning.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {

// What the loss's gradient is known to be; all of it has the right sizes.
struct OuterGradients {
  // With respect to the output; empty: 0.
  absl::Span<const float> output;
  // For each layer those with respect to what it does; nullptr: 0.
  std::vector<const LayerGradient*> layers;
};

// Goes through the blocks of `trace`, which is of steps in the mode `training`, from the last one on, and adds to
// `gradients`. `grad_input`, of the trace's input, may be empty: then it is not computed. An error of `wanted` ends
// it; where `executor` stops by itself, `wanted` tells.
absl::Status RunBackward(const Layers& layers, const ForwardPlan& plan, bool training, const Trace& trace,
                         const OuterGradients& outer, ParameterNumbers& gradients, absl::Span<float> grad_input,
                         Executor& executor, absl::FunctionRef<absl::Status()> wanted);

// The most that RunBackward takes beside gradients.
int64_t BackwardBytesOf(const Layers& layers, const ForwardPlan& plan);

// The most that a Forward by `plan` adds to a trace.
int64_t TraceBytesOf(const Layers& layers, const ForwardPlan& plan);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_BACKWARD_H_

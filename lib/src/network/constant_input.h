// Currents that stay the same from step to step: a picture that is shown, say. What is linear in them is computed for
// one step, and so is its gradient.

#ifndef SPIKESERVE_SRC_NETWORK_CONSTANT_INPUT_H_
#define SPIKESERVE_SRC_NETWORK_CONSTANT_INPUT_H_

#include <cstdint>

#include "absl/types/span.h"
#include "scratch.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// Whether there are several steps, and all have the same bits.
bool IsConstant(absl::Span<const float> values, int64_t steps);

// Writes to all other steps what the first one has.
void RepeatFirstStep(absl::Span<float> values, int64_t steps, Executor& executor);

// The sum of all steps, in their order.
ScratchFloats SumOfSteps(absl::Span<const float> values, int64_t steps, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_CONSTANT_INPUT_H_

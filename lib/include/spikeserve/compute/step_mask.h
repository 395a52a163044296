// Masks that are true at one step of each neuron.

#ifndef SPIKESERVE_COMPUTE_STEP_MASK_H_
#define SPIKESERVE_COMPUTE_STEP_MASK_H_

#include <cstdint>

#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// Writes the mask [T, N], T = `steps`, whose column n is true at step index[n] only (nowhere for -1). Every index is
// below T. `bytes` has room for T * N, one byte an element; what it holds does not matter.
void WriteStepMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bytes,
                   Executor& executor = InlineExecutor());

// The same as bits: each row of N elements is padded to whole bytes, least significant bit first.
// `bits` has room for T * ceil(N / 8).
void WriteStepBitMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bits,
                      Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_STEP_MASK_H_

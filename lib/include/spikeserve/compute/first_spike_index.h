// The first spike of each row.

#ifndef SPIKESERVE_COMPUTE_FIRST_SPIKE_INDEX_H_
#define SPIKESERVE_COMPUTE_FIRST_SPIKE_INDEX_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// The step of the first 1 of each row, -1 in rows without one.
//
// spikes [R, T] of 0/1, T < 2^31; either may be 0.
// Errors: INVALID_ARGUMENT for other values.
absl::StatusOr<std::vector<int32_t>> FirstSpikeIndex(MatrixView<uint8_t> spikes, Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_FIRST_SPIKE_INDEX_H_

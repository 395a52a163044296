// The first spike of each row.

#ifndef SPIKESERVE_COMPUTE_FIRST_SPIKE_INDEX_H_
#define SPIKESERVE_COMPUTE_FIRST_SPIKE_INDEX_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// The step of the first 1 of each row, -1 in rows without one.
//
// spikes [R, T] of 0/1, T < 2^31; either may be 0.
// Errors: INVALID_ARGUMENT for other values.
absl::StatusOr<std::vector<int32_t>> FirstSpikeIndex(MatrixView<uint8_t> spikes, Executor& executor = InlineExecutor());

// The same from bits, of which only those up to the first 1 of each row need be read.
absl::StatusOr<std::vector<int32_t>> FirstSpikeIndex(const BitMatrixView& spikes,
                                                     Executor& executor = InlineExecutor());

// Writes the mask [R, T], T = `steps`, whose row r is true at step index[r] only (nowhere for -1). Every index is below
// T. `bytes` has room for R * T, one byte an element; what it holds does not matter.
void WriteFirstSpikeMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bytes,
                         Executor& executor = InlineExecutor());

// The same as bits: each row of T elements is padded to whole bytes, least significant bit first.
// `bits` has room for R * ceil(T / 8).
void WriteFirstSpikeBitMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bits,
                            Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_FIRST_SPIKE_INDEX_H_

// The inner loops of FirstSpikeIndex, compiled for several instruction sets of which the best is chosen at run time.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_FIRST_SPIKE_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_FIRST_SPIKE_KERNEL_H_

#include <cstdint>

namespace spikeserve::simd {

// Rows of bytes: row r is the `row_bytes` >= 1 bytes from data + r * stride on. All bytes from the first row's first to
// the last row's last may be read, also those between rows.
struct ByteRows {
  const uint8_t* data;
  int64_t rows;
  int64_t row_bytes;
  int64_t stride;
};

// Writes index[r], the first byte of row r that is not 0, -1 where there is none, for begin <= r < end. Returns whether
// all bytes of these rows are 0 or 1.
bool FindFirstBytes(const ByteRows& spikes, int64_t begin, int64_t end, int32_t* index);

// Writes index[r], the first of the `bits` bits of row r that is not 0, bit b of byte a being bit 8 * a + b; -1 where
// there is none. The row is as long as its bits; those of its last byte beyond them may be anything.
void FindFirstBits(const ByteRows& spikes, int64_t bits, int64_t begin, int64_t end, int32_t* index);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_FIRST_SPIKE_KERNEL_H_

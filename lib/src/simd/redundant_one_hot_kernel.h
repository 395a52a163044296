// The inner loop of RedundantOneHot, compiled for several instruction sets of which the best is chosen at run time.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_REDUNDANT_ONE_HOT_KERNEL_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_REDUNDANT_ONE_HOT_KERNEL_H_

#include <cstdint>

namespace spikeserve::simd {

// All codes are the same ones at different places in zeros. So a row is a window into a pattern, which has the ones of
// class 0 at its byte 0, and zeros around them: the row of class c begins c classes before that.
struct OneHotCode {
  // How many bytes may be read before the first of a pattern's row, and after its last.
  static constexpr int64_t kMargin = 64;

  int64_t num_classes;
  int64_t row_bytes;
  int64_t class_bits;  // From the ones of one class to those of the next.
  // patterns[i] has its ones i bits later, for classes whose ones do not begin with a byte. Zeros, but for the ones,
  // from row_bytes + kMargin before each to row_bytes + kMargin after it. Only those that occur need be there.
  const uint8_t* patterns[8];
};

// Writes `rows` rows to `out`, one after the other. With `stream`, past the caches: faster where they would not hold
// the result. Returns whether all labels are in [0, num_classes); the rows of others are those of class 0.
bool WriteOneHotRows(const OneHotCode& code, const int64_t* labels, int64_t rows, bool stream, uint8_t* out);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_REDUNDANT_ONE_HOT_KERNEL_H_

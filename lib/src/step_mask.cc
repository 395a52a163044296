#include "spikeserve/compute/step_mask.h"

#include <algorithm>

#include "absl/base/macros.h"

namespace spikeserve {

void WriteStepMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bytes) {
  const size_t neurons = index.size();
  ABSL_HARDENING_ASSERT(bytes.size() == static_cast<size_t>(steps) * neurons);
  std::fill(bytes.begin(), bytes.end(), uint8_t{0});
  for (size_t n = 0; n < neurons; ++n) {
    if (index[n] >= 0) bytes[static_cast<size_t>(index[n]) * neurons + n] = 1;
  }
}

void WriteStepBitMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bits) {
  const size_t row_bytes = (index.size() + 7) / 8;
  ABSL_HARDENING_ASSERT(bits.size() == static_cast<size_t>(steps) * row_bytes);
  std::fill(bits.begin(), bits.end(), uint8_t{0});
  for (size_t n = 0; n < index.size(); ++n) {
    if (index[n] >= 0) bits[static_cast<size_t>(index[n]) * row_bytes + n / 8] |= static_cast<uint8_t>(1 << (n % 8));
  }
}

}  // namespace spikeserve

#include "spikeserve/compute/step_mask.h"

#include <algorithm>

#include "absl/base/macros.h"
#include "zero_fill.h"

namespace spikeserve {
namespace {

// So many neurons are worth a task of their own.
constexpr int64_t kNeuronsPerTask = 1 << 14;

}  // namespace

void WriteStepMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bytes, Executor& executor) {
  const int64_t neurons = static_cast<int64_t>(index.size());
  ABSL_HARDENING_ASSERT(bytes.size() == static_cast<size_t>(steps) * index.size());
  ZeroFill(bytes.data(), steps * neurons, executor);
  executor.ParallelFor(neurons, kNeuronsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      if (index[n] >= 0) bytes[index[n] * neurons + n] = 1;
    }
  });
}

void WriteStepBitMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bits, Executor& executor) {
  const int64_t neurons = static_cast<int64_t>(index.size());
  const int64_t row_bytes = (neurons + 7) / 8;
  ABSL_HARDENING_ASSERT(bits.size() == static_cast<size_t>(steps * row_bytes));
  ZeroFill(bits.data(), steps * row_bytes, executor);
  // In units of 8 neurons, so that no two tasks write to the same byte.
  executor.ParallelFor(row_bytes, kNeuronsPerTask / 8, [&](int64_t begin, int64_t end) {
    for (int64_t n = 8 * begin; n < std::min(8 * end, neurons); ++n) {
      if (index[n] >= 0) bits[index[n] * row_bytes + n / 8] |= static_cast<uint8_t>(1 << (n % 8));
    }
  });
}

}  // namespace spikeserve

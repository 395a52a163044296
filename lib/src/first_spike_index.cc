#include "spikeserve/compute/first_spike_index.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "absl/base/macros.h"
#include "absl/strings/str_cat.h"
#include "simd/first_spike_kernel.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

// So many bytes that are read are worth a task of their own. Finding the place in a row takes as long as reading so
// many.
constexpr int64_t kBytesPerTask = 1 << 19;
constexpr int64_t kBytesOfOverhead = 64;
// The same for bytes that are written.
constexpr int64_t kMaskBytesPerTask = 1 << 20;

absl::Status CheckSteps(int64_t steps) {
  if (steps <= std::numeric_limits<int32_t>::max()) return absl::OkStatus();
  return InvalidField("spikes", absl::StrCat(steps, " steps"), "fewer than 2^31 steps");
}

absl::Status NotZeroOrOne(const MatrixView<uint8_t>& spikes) {
  for (Eigen::Index r = 0; r < spikes.rows(); ++r) {
    for (Eigen::Index t = 0; t < spikes.cols(); ++t) {
      if (spikes(r, t) > 1) {
        return InvalidField("spikes", absl::StrCat(spikes(r, t), " in row ", r, " at step ", t), "only 0 and 1");
      }
    }
  }
  return absl::OkStatus();
}

// Writes a mask of rows of `row_bytes` that are zero but for what set(row, step) sets.
template <typename Set>
void WriteMask(absl::Span<const int32_t> index, int64_t row_bytes, absl::Span<uint8_t> mask, Executor& executor,
               Set set) {
  const int64_t rows = static_cast<int64_t>(index.size());
  ABSL_HARDENING_ASSERT(mask.size() == static_cast<size_t>(rows * row_bytes));
  if (row_bytes == 0) return;
  executor.ParallelFor(rows, 1 + kMaskBytesPerTask / row_bytes, [&](int64_t begin, int64_t end) {
    std::memset(mask.data() + begin * row_bytes, 0, static_cast<size_t>((end - begin) * row_bytes));
    for (int64_t r = begin; r < end; ++r) {
      if (index[r] >= 0) set(mask.data() + r * row_bytes, index[r]);
    }
  });
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> FirstSpikeIndex(MatrixView<uint8_t> spikes, Executor& executor) {
  const int64_t rows = spikes.rows();
  const int64_t steps = spikes.cols();
  if (absl::Status status = CheckSteps(steps); !status.ok()) return status;
  std::vector<int32_t> index(static_cast<size_t>(rows), -1);
  if (steps == 0) return index;
  std::atomic<bool> zero_or_one = true;
  const simd::ByteRows view = {spikes.data(), rows, steps, spikes.outerStride()};
  executor.ParallelFor(rows, 1 + kBytesPerTask / (steps + kBytesOfOverhead), [&](int64_t begin, int64_t end) {
    if (!simd::FindFirstBytes(view, begin, end, index.data())) zero_or_one.store(false, std::memory_order_relaxed);
  });
  if (!zero_or_one) return NotZeroOrOne(spikes);
  return index;
}

absl::StatusOr<std::vector<int32_t>> FirstSpikeIndex(const BitMatrixView& spikes, Executor& executor) {
  if (absl::Status status = CheckSteps(spikes.cols()); !status.ok()) return status;
  std::vector<int32_t> index(static_cast<size_t>(spikes.rows()), -1);
  if (spikes.cols() == 0) return index;
  const int64_t row_bytes = (spikes.cols() - 1) / 8 + 1;
  const simd::ByteRows view = {spikes.data(), spikes.rows(), row_bytes, spikes.row_bytes()};
  executor.ParallelFor(
      spikes.rows(), 1 + kBytesPerTask / (row_bytes + kBytesOfOverhead),
      [&](int64_t begin, int64_t end) { simd::FindFirstBits(view, spikes.cols(), begin, end, index.data()); });
  return index;
}

void WriteFirstSpikeMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bytes,
                         Executor& executor) {
  WriteMask(index, steps, bytes, executor, [](uint8_t* row, int32_t step) { row[step] = 1; });
}

void WriteFirstSpikeBitMask(absl::Span<const int32_t> index, int64_t steps, absl::Span<uint8_t> bits,
                            Executor& executor) {
  WriteMask(index, steps / 8 + (steps % 8 != 0), bits, executor,
            [](uint8_t* row, int32_t step) { row[step / 8] = static_cast<uint8_t>(1 << (step % 8)); });
}

}  // namespace spikeserve

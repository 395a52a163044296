#include "spikeserve/compute/first_spike_index.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "absl/base/macros.h"
#include "absl/strings/str_cat.h"
#include "not_zero_or_one.h"
#include "simd/first_spike_kernel.h"
#include "spikeserve/compute/field_error.h"
#include "stop_check.h"

namespace spikeserve {
namespace {

// So many bytes that are read are worth a task of their own. Finding the place in a row takes as long as reading so
// many.
constexpr int64_t kBytesPerTask = 1 << 19;
constexpr int64_t kBytesOfOverhead = 64;
// The same for bytes that are written.
constexpr int64_t kMaskBytesPerTask = 1 << 20;
// Bytes that are read or written between two questions.
constexpr int64_t kBytesPerCheck = 1 << 22;

absl::Status CheckSteps(int64_t steps) {
  if (steps <= std::numeric_limits<int32_t>::max()) return absl::OkStatus();
  return InvalidField("spikes", absl::StrCat(steps, " steps"), "fewer than 2^31 steps");
}

// The error of spikes of which some are neither.
absl::Status NotZeroOrOne(const MatrixView<uint8_t>& spikes, Executor& executor) {
  const auto other = FindOther(spikes, executor);
  if (!other) return NotWanted();
  const auto [r, t] = *other;
  return InvalidField("spikes", absl::StrCat(spikes(r, t), " in row ", r, " at step ", t), "only 0 and 1");
}

// Calls find(r, first, piece) for pieces of the rows begin ... end - 1: `piece` is a row that begins at byte `first` of
// row r.
template <typename Find>
void FindInPieces(const simd::ByteRows& rows, int64_t begin, int64_t end, Executor& executor, const Find& find) {
  for (int64_t r = begin; r < end; ++r) {
    const bool all = ForPieces(executor, rows.row_bytes, kBytesPerCheck, [&](int64_t first, int64_t last) {
      find(r, first, simd::ByteRows{rows.data + r * rows.stride + first, 1, last - first, rows.stride});
    });
    if (!all) return;
  }
}

// Writes a mask of rows of `row_bytes` that are zero but for what set(row, step) sets.
template <typename Set>
void WriteMask(absl::Span<const int32_t> index, int64_t row_bytes, absl::Span<uint8_t> mask, Executor& executor,
               Set set) {
  const int64_t rows = static_cast<int64_t>(index.size());
  ABSL_HARDENING_ASSERT(mask.size() == static_cast<size_t>(rows * row_bytes));
  if (row_bytes == 0) return;
  executor.ParallelFor(rows, 1 + kMaskBytesPerTask / row_bytes, [&](int64_t begin, int64_t end) {
    const bool all = ForPieces(executor, (end - begin) * row_bytes, kBytesPerCheck, [&](int64_t first, int64_t last) {
      std::memset(mask.data() + begin * row_bytes + first, 0, static_cast<size_t>(last - first));
    });
    if (!all) return;
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
  std::vector<int32_t> index = Filled(rows, -1, executor);
  if (executor.Stopped()) return NotWanted();
  if (steps == 0) return index;
  std::atomic<bool> zero_or_one = true;
  const simd::ByteRows view = {spikes.data(), rows, steps, spikes.outerStride()};
  executor.ParallelFor(rows, 1 + kBytesPerTask / (steps + kBytesOfOverhead), [&](int64_t begin, int64_t end) {
    if (steps <= kBytesPerCheck) {
      if (!simd::FindFirstBytes(view, begin, end, index.data())) zero_or_one.store(false, std::memory_order_relaxed);
      return;
    }
    FindInPieces(view, begin, end, executor, [&](int64_t r, int64_t first, const simd::ByteRows& piece) {
      int32_t step = -1;
      if (!simd::FindFirstBytes(piece, 0, 1, &step)) zero_or_one.store(false, std::memory_order_relaxed);
      if (index[r] < 0 && step >= 0) index[r] = static_cast<int32_t>(first) + step;
    });
  });
  if (!zero_or_one) return NotZeroOrOne(spikes, executor);
  return index;
}

absl::StatusOr<std::vector<int32_t>> FirstSpikeIndex(const BitMatrixView& spikes, Executor& executor) {
  if (absl::Status status = CheckSteps(spikes.cols()); !status.ok()) return status;
  std::vector<int32_t> index = Filled(spikes.rows(), -1, executor);
  if (executor.Stopped()) return NotWanted();
  if (spikes.cols() == 0) return index;
  const int64_t row_bytes = (spikes.cols() - 1) / 8 + 1;
  const simd::ByteRows view = {spikes.data(), spikes.rows(), row_bytes, spikes.row_bytes()};
  const int64_t grain = 1 + kBytesPerTask / (row_bytes + kBytesOfOverhead);
  executor.ParallelFor(spikes.rows(), grain, [&](int64_t begin, int64_t end) {
    if (row_bytes <= kBytesPerCheck) return simd::FindFirstBits(view, spikes.cols(), begin, end, index.data());
    FindInPieces(view, begin, end, executor, [&](int64_t r, int64_t first, const simd::ByteRows& piece) {
      if (index[r] >= 0) return;
      int32_t step = -1;
      simd::FindFirstBits(piece, std::min(8 * piece.row_bytes, spikes.cols() - 8 * first), 0, 1, &step);
      if (step >= 0) index[r] = static_cast<int32_t>(8 * first) + step;
    });
  });
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

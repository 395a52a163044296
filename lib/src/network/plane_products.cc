#include "network/plane_products.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "aligned_buffer.h"
#include "simd/transpose.h"

namespace spikeserve {
namespace {

// A tile's sums stay in the first-level cache, beside the rows that are added to them.
constexpr int64_t kTileSums = 1 << 13;
constexpr int64_t kTileChannels = 64;
// The multiplications that are worth a thread, if every tenth element is not 0.
constexpr int64_t kGrain = 1 << 20;

// Of b > 0.
int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
int64_t CeilDiv(int64_t a, int64_t b) { return -FloorDiv(-a, b); }

// The inverse of a modulo m, which have no common divisor (Euclid's algorithm, extended).
int64_t Inverse(int64_t a, int64_t m) {
  int64_t r = m, next_r = a % m, t = 0, next_t = 1;
  while (next_r != 0) {
    const int64_t quotient = r / next_r;
    r = std::exchange(next_r, r - quotient * next_r);
    t = std::exchange(next_t, t - quotient * next_t);
  }
  return t < 0 ? t + m : t;
}

}  // namespace

TapAxis::TapAxis(const AxisWindow& window, Direction direction, int64_t sources, const TapSteps& steps)
    : window_(window),
      direction_(direction),
      sources_(sources),
      steps_(steps),
      divisor_(std::gcd(window.stride, window.dilation)),
      kernel_step_(window.stride / divisor_),
      inverse_(Inverse(window.dilation / divisor_, kernel_step_)) {}

void TapAxis::Cut(int64_t first, int64_t targets, AxisTile& tile) const {
  const auto& [kernel, stride, padding, dilation] = window_;
  const bool forward = direction_ == Direction::kForward;
  const int64_t last = first + targets - 1;
  const int64_t begin = forward ? first * stride - padding : CeilDiv(first + padding - dilation * (kernel - 1), stride);
  const int64_t end =
      1 + (forward ? last * stride - padding + dilation * (kernel - 1) : FloorDiv(last + padding, stride));
  tile.source_begin = std::clamp<int64_t>(begin, 0, sources_);
  tile.runs.clear();
  for (int64_t source = tile.source_begin; source < std::min(end, sources_); ++source) {
    tile.runs.push_back(forward ? ForwardRun(source, first, targets) : BackRun(source, first, targets));
  }
  const int64_t kernel_step = forward ? kernel_step_ : 1;
  const int64_t target_step = forward ? -dilation / divisor_ : dilation;
  tile.step = {.from = kernel_step * steps_.kernel.from + target_step * steps_.target.from,
               .to = kernel_step * steps_.kernel.to + target_step * steps_.target.to};
}

simd::TapRun TapAxis::Run(int64_t count, int64_t kernel, int64_t target) const {
  return {.count = count,
          .first = {.from = kernel * steps_.kernel.from + target * steps_.target.from,
                    .to = kernel * steps_.kernel.to + target * steps_.target.to}};
}

simd::TapRun TapAxis::ForwardRun(int64_t source, int64_t first, int64_t targets) const {
  // The kernel's index k has the target (place - k * dilation) / stride, if that is a whole number.
  const int64_t place = source + window_.padding;
  if (place % divisor_ != 0) return {};
  int64_t k = std::max<int64_t>(0, CeilDiv(place - (first + targets - 1) * window_.stride, window_.dilation));
  const int64_t last = std::min(window_.kernel - 1, FloorDiv(place - first * window_.stride, window_.dilation));
  const int64_t residue = place / divisor_ % kernel_step_ * inverse_ % kernel_step_;
  k += ((residue - k) % kernel_step_ + kernel_step_) % kernel_step_;
  if (k > last) return {};
  return Run((last - k) / kernel_step_ + 1, k, (place - k * window_.dilation) / window_.stride - first);
}

simd::TapRun TapAxis::BackRun(int64_t source, int64_t first, int64_t targets) const {
  // The kernel's index k has the target begin + k * dilation.
  const int64_t begin = source * window_.stride - window_.padding;
  const int64_t k = std::max<int64_t>(0, CeilDiv(first - begin, window_.dilation));
  const int64_t last = std::min(window_.kernel - 1, FloorDiv(first + targets - 1 - begin, window_.dilation));
  if (k > last) return {};
  return Run(last - k + 1, k, begin + k * window_.dilation - first);
}

void PlaneProducts::Run(const float* from, float* to, Executor& executor) const {
  const int64_t tile_channels = std::min(target_channels, kTileChannels);
  const int64_t stride = CeilDiv(tile_channels, simd::kTapLanes) * simd::kTapLanes;
  const int64_t tile_columns = std::clamp<int64_t>(kTileSums / stride, 1, target.width);
  const int64_t tile_rows = std::clamp<int64_t>(kTileSums / (stride * tile_columns), 1, target.height);
  const TapAxis rows(window.height, direction, source.height,
                     {.kernel = {kernel_step * window.width.kernel, 0}, .target = {0, tile_columns * stride}});
  const TapAxis columns(window.width, direction, source.width, {.kernel = {kernel_step, 0}, .target = {0, stride}});
  const int64_t row_tiles = CeilDiv(target.height, tile_rows);
  const int64_t column_tiles = CeilDiv(target.width, tile_columns);
  const int64_t channel_tiles = CeilDiv(target_channels, tile_channels);
  const int64_t tiles = samples * groups * channel_tiles * row_tiles * column_tiles;
  const int64_t tile_work = tile_rows * tile_columns * stride * source_channels * window.kernel_size();

  executor.ParallelFor(tiles, kGrain / std::max<int64_t>(1, tile_work) + 1, [&](int64_t begin, int64_t end) {
    AlignedBuffer<float> sums(tile_rows * tile_columns * stride);
    AxisTile row, column;
    int64_t cut_column = -1;
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first_column = tile % column_tiles * tile_columns;
      const int64_t first_row = tile / column_tiles % row_tiles * tile_rows;
      const int64_t column_count = std::min(tile_columns, target.width - first_column);
      const int64_t row_count = std::min(tile_rows, target.height - first_row);
      if (first_column != cut_column) columns.Cut(cut_column = first_column, column_count, column);
      rows.Cut(first_row, row_count, row);
      const int64_t first_channel = tile / (column_tiles * row_tiles) % channel_tiles * tile_channels;
      // Of all samples' groups.
      const int64_t group = tile / (column_tiles * row_tiles * channel_tiles);
      const int64_t channels = std::min(tile_channels, target_channels - first_channel);

      const int64_t positions = (row_count - 1) * tile_columns + column_count;
      std::fill_n(sums.data(), positions * stride, 0.0f);
      if (start != nullptr) {
        const float* values = start + group % groups * target_channels + first_channel;
        for (int64_t p = 0; p < positions; ++p) std::copy_n(values, channels, sums.data() + p * stride);
      }
      for (int64_t c = 0; c < source_channels; ++c) {
        const float* plane = from + (group * source_channels + c) * source.height * source.width;
        simd::AddTapProducts(plane + row.source_begin * source.width + column.source_begin, source.width, row.All(),
                             column.All(), table + group % groups * group_step + c * channel_step + first_channel,
                             sums.data(), channels);
      }
      const int64_t plane_size = target.height * target.width;
      float* planes = to + (group * target_channels + first_channel) * plane_size;
      // Whole rows lie behind one another.
      const bool whole = column_count == target.width;
      for (int64_t r = 0; r < (whole ? 1 : row_count); ++r) {
        simd::Transpose(sums.data() + r * tile_columns * stride, stride, whole ? positions : column_count, channels,
                        nullptr, planes + (first_row + r) * target.width + first_column, plane_size);
      }
    }
  });
}

}  // namespace spikeserve

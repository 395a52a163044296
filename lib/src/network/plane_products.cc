#include "network/plane_products.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "aligned_buffer.h"
#include "scratch.h"
#include "simd/matrix_product.h"
#include "simd/transpose.h"

namespace spikeserve {
namespace {

// A tile's sums stay in the first-level cache, and what is laid out for a product of matrices in the second.
constexpr int64_t kTileSums = 1 << 13;
constexpr int64_t kTileColumns = 1 << 17;
constexpr int64_t kMaxTileColumns = 1 << 20;
constexpr int64_t kTileChannels = 64;
// The multiplications that are worth a thread, if every tenth element is not 0.
constexpr int64_t kGrain = 1 << 20;
// Elements of which so many per cent are not 0 are laid out.
constexpr int64_t kDensePercent = 50;

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
  tile.axis_ = this;
  tile.first_target_ = first;
  tile.targets_ = targets;
  tile.source_begin_ = std::clamp<int64_t>(begin, 0, sources_);
  tile.sources_ = std::max<int64_t>(0, std::min(end, sources_) - tile.source_begin_);
  tile.Keep(0);
  tile.most_taps_ = std::min(kernel, targets);
  if (tile.sources_ <= AxisTile::kMaxRuns) {
    tile.most_taps_ = 0;
    for (const simd::TapRun& run : tile.runs_) tile.most_taps_ = std::max(tile.most_taps_, run.count);
  }
  const int64_t kernel_step = forward ? kernel_step_ : 1;
  const int64_t target_step = forward ? -dilation / divisor_ : dilation;
  tile.step_ = {.from = kernel_step * steps_.kernel.from + target_step * steps_.target.from,
                .to = kernel_step * steps_.kernel.to + target_step * steps_.target.to};
}

simd::TapRun TapAxis::RunFrom(int64_t source, int64_t first, int64_t targets) const {
  return direction_ == Direction::kForward ? ForwardRun(source, first, targets) : BackRun(source, first, targets);
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

void AxisTile::Keep(int64_t first) {
  kept_begin_ = first;
  runs_.clear();
  for (int64_t source = first; source < std::min(first + kMaxRuns, sources_); ++source) {
    runs_.push_back(axis_->RunFrom(source_begin_ + source, first_target_, targets_));
  }
}

simd::AxisTaps AxisTile::Part(int64_t first, int64_t count) {
  if (first < kept_begin_ || first + count > kept_begin_ + static_cast<int64_t>(runs_.size())) Keep(first);
  return {count, runs_.data() + (first - kept_begin_), step_};
}

bool AddTapProducts(const float* plane, int64_t plane_stride, AxisTile& rows, int64_t first, int64_t count,
                    AxisTile& columns, const float* from, float* to, int64_t size, StopCheck& stop) {
  const int64_t lanes = CeilDiv(size, simd::kTapLanes) * simd::kTapLanes;
  const int64_t work = std::max<int64_t>(1, rows.most_taps() * columns.most_taps() * lanes);
  // A piece is of whole rows, or of a part of one.
  const int64_t piece = std::clamp<int64_t>(StopCheck::kCostPerQuestion / work, 1, AxisTile::kMaxRuns);
  const int64_t width = columns.sources();
  const int64_t piece_rows = std::max<int64_t>(1, piece / std::max<int64_t>(1, width));
  const int64_t piece_columns = std::min(piece, width);
  for (int64_t y = 0; y < count; y += piece_rows) {
    const int64_t height = std::min(piece_rows, count - y);
    for (int64_t z = 0; z < width; z += piece_columns) {
      const int64_t part = std::min(piece_columns, width - z);
      if (stop.After(height * part * work)) return false;
      simd::AddTapProducts(plane + y * plane_stride + z, plane_stride, rows.Part(first + y, height),
                           columns.Part(z, part), from, to, size);
    }
  }
  return true;
}

namespace {

// The targets of a row or column, counted from a tile's begin, to which one of the kernel's indices leads, and the
// sources from which.
struct KernelRun {
  int64_t count;
  int64_t target;
  int64_t target_step;
  int64_t source;
  int64_t source_step;
};

KernelRun RunOf(const AxisWindow& window, Direction direction, int64_t sources, int64_t first, int64_t targets,
                int64_t k) {
  const auto& [kernel, stride, padding, dilation] = window;
  if (direction == Direction::kForward) {
    // From first * stride + offset on, of each stride.
    const int64_t offset = first * stride - padding + k * dilation;
    const int64_t begin = std::max<int64_t>(0, CeilDiv(-offset, stride));
    const int64_t end = std::min(targets, FloorDiv(sources - 1 - offset, stride) + 1);
    return {end - begin, begin, 1, offset + begin * stride, stride};
  }
  // The target first + t comes from (t + offset) / stride.
  const int64_t offset = first + padding - k * dilation;
  const int64_t source = std::max<int64_t>(0, CeilDiv(offset, stride));
  const int64_t end = std::min(sources, FloorDiv(offset + targets - 1, stride) + 1);
  return {end - source, source * stride - offset, stride, source, 1};
}

// A tile of targets in a plane, and the region of the source from which something comes to them.
struct PlaneTile {
  int64_t first_row, rows;
  int64_t first_column, columns;
  AxisTile row, column;
};

bool IsDense(const float* planes, int64_t channels, Extent plane, const PlaneTile& tile, StopCheck& stop) {
  int64_t others = 0;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < tile.row.sources(); ++y) {
      if (stop.After(tile.column.sources())) return false;
      const float* row =
          planes + (c * plane.height + tile.row.source_begin() + y) * plane.width + tile.column.source_begin();
      int32_t others_of_row = 0;
      for (int64_t z = 0; z < tile.column.sources(); ++z) others_of_row += row[z] != 0 ? 1 : 0;
      others += others_of_row;
    }
  }
  return others * 100 > channels * tile.row.sources() * tile.column.sources() * kDensePercent;
}

// Lays out the elements that each of the tile's targets takes, [channels, kernel, tile.rows, row_size].
void LayOut(const PlaneProducts& products, const float* planes, const PlaneTile& tile, int64_t row_size, float* to) {
  const auto& [height, width] = products.window;
  const Extent plane = products.source;
  const bool back = products.direction == Direction::kBack;
  for (int64_t c = 0; c < products.source_channels; ++c, planes += plane.height * plane.width) {
    for (int64_t i = 0; i < height.kernel; ++i) {
      const KernelRun rows =
          RunOf(height, products.direction, plane.height, tile.first_row, tile.rows, back ? height.kernel - 1 - i : i);
      for (int64_t j = 0; j < width.kernel; ++j, to += tile.rows * row_size) {
        const KernelRun run = RunOf(width, products.direction, plane.width, tile.first_column, tile.columns,
                                    back ? width.kernel - 1 - j : j);
        if (rows.count < tile.rows || run.count < row_size) std::fill_n(to, tile.rows * row_size, 0.0f);
        for (int64_t r = 0; r < rows.count; ++r) {
          const float* row = planes + (rows.source + r * rows.source_step) * plane.width + run.source;
          float* targets = to + (rows.target + r * rows.target_step) * row_size + run.target;
          if (run.source_step == 1 && run.target_step == 1) {
            std::copy_n(row, std::max<int64_t>(0, run.count), targets);
          } else {
            for (int64_t n = 0; n < run.count; ++n) targets[n * run.target_step] = row[n * run.source_step];
          }
        }
      }
    }
  }
}

}  // namespace

void PlaneProducts::Run(const float* from, float* to, Executor& executor) const {
  const int64_t kernel = window.kernel_size();
  const int64_t depth = source_channels * kernel;
  const int64_t tile_channels = std::min(target_channels, kTileChannels);
  const int64_t stride = CeilDiv(tile_channels, simd::kTapLanes) * simd::kTapLanes;
  const int64_t positions = std::max<int64_t>(16, std::min(kTileSums / stride, kTileColumns / depth));
  const int64_t tile_columns = std::min(positions, target.width);
  const int64_t tile_rows = std::min(positions / tile_columns, target.height);
  const int64_t row_tiles = CeilDiv(target.height, tile_rows);
  const int64_t column_tiles = CeilDiv(target.width, tile_columns);
  const int64_t channel_tiles = CeilDiv(target_channels, tile_channels);
  const int64_t tiles = samples * groups * channel_tiles * row_tiles * column_tiles;
  const int64_t tile_size = tile_rows * tile_columns;

  // Back, the table's rows are those of the kernel's elements from the last to the first.
  const int64_t tap_step = direction == Direction::kForward ? row_step : -row_step;
  const float* const first_tap = direction == Direction::kForward ? table : table + (kernel - 1) * row_step;
  const TapAxis row_axis(window.height, direction, source.height,
                         {.kernel = {tap_step * window.width.kernel, 0}, .target = {0, tile_columns * stride}});
  const TapAxis column_axis(window.width, direction, source.width, {.kernel = {tap_step, 0}, .target = {0, stride}});

  const int64_t tile_work = tile_size * stride * depth;
  executor.ParallelFor(tiles, kGrain / std::max<int64_t>(1, tile_work) + 1, [&](int64_t begin, int64_t end) {
    AlignedBuffer<float> sums(tile_size * stride);
    ScratchFloats laid_out;
    StopCheck stop(executor);
    PlaneTile t{.first_row = -1, .rows = 0, .first_column = -1, .columns = 0, .row = {}, .column = {}};
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first_column = tile % column_tiles * tile_columns;
      if (first_column != t.first_column) {
        t.first_column = first_column;
        t.columns = std::min(tile_columns, target.width - first_column);
        column_axis.Cut(first_column, t.columns, t.column);
      }
      const int64_t first_row = tile / column_tiles % row_tiles * tile_rows;
      if (first_row != t.first_row) {
        t.first_row = first_row;
        t.rows = std::min(tile_rows, target.height - first_row);
        row_axis.Cut(first_row, t.rows, t.row);
      }
      const int64_t first_channel = tile / (column_tiles * row_tiles) % channel_tiles * tile_channels;
      const int64_t channels = std::min(tile_channels, target_channels - first_channel);
      // Of all samples' groups.
      const int64_t group = tile / (column_tiles * row_tiles * channel_tiles);

      const float* planes = from + group * source_channels * source.height * source.width;
      const float* starts = start == nullptr ? nullptr : start + group % groups * target_channels + first_channel;
      const int64_t table_offset = group % groups * group_step + first_channel;
      // Rows that are cut off have targets beside them that nobody reads.
      const int64_t targets = (t.rows - 1) * tile_columns + t.columns;
      if (depth * tile_size <= kMaxTileColumns && IsDense(planes, source_channels, source, t, stop)) {
        if (stop.After(targets * stride * depth)) return;
        laid_out.resize(depth * tile_size);
        LayOut(*this, planes, t, tile_columns, laid_out.data());
        simd::MatrixProduct({laid_out.data(), 1, t.rows * tile_columns}, {table + table_offset, row_step}, targets,
                            channels, depth, simd::ProductStart::kOntoRow, starts, sums.data(), stride);
      } else {
        std::fill_n(sums.data(), targets * stride, 0.0f);
        for (int64_t p = 0; starts != nullptr && p < targets; ++p)
          std::copy_n(starts, channels, sums.data() + p * stride);
        for (int64_t c = 0; c < source_channels; ++c) {
          const float* plane =
              planes + (c * source.height + t.row.source_begin()) * source.width + t.column.source_begin();
          if (!AddTapProducts(plane, source.width, t.row, 0, t.row.sources(), t.column,
                              first_tap + table_offset + c * kernel * row_step, sums.data(), channels, stop)) {
            return;
          }
        }
      }

      const int64_t plane_size = target.height * target.width;
      float* plane =
          to + (group * target_channels + first_channel) * plane_size + first_row * target.width + first_column;
      // Whole rows lie behind one another.
      const bool whole = t.columns == target.width;
      for (int64_t r = 0; r < (whole ? 1 : t.rows); ++r) {
        simd::Transpose(sums.data() + r * tile_columns * stride, stride, whole ? targets : t.columns, channels, nullptr,
                        plane + r * target.width, plane_size);
      }
    }
  });
}

}  // namespace spikeserve

// Convolutions of planes and their transposes, as the work of those elements that are not 0.

#ifndef SPIKESERVE_SRC_NETWORK_PLANE_PRODUCTS_H_
#define SPIKESERVE_SRC_NETWORK_PLANE_PRODUCTS_H_

#include <cstdint>
#include <vector>

#include "network/window.h"
#include "simd/tap_products.h"
#include "spikeserve/compute/executor.h"
#include "stop_check.h"

namespace spikeserve {

// In which direction elements go through a window: from the planes that it slides over to its positions, or back.
enum class Direction { kForward, kBack };

// What a kernel's index and a target's, counted from its tile's begin, add to the offsets of a tap.
struct TapSteps {
  simd::Tap kernel;
  simd::Tap target;
};

class AxisTile;

// An axis of `sources`, that go through a window to targets.
class TapAxis {
 public:
  TapAxis(const AxisWindow& window, Direction direction, int64_t sources, const TapSteps& steps);

  // The tile of `targets` >= 1 from `first` on. The axis must outlive it.
  void Cut(int64_t first, int64_t targets, AxisTile& tile) const;

 private:
  friend class AxisTile;

  // From `source` to the tile of `targets` from `first` on.
  simd::TapRun RunFrom(int64_t source, int64_t first, int64_t targets) const;
  simd::TapRun ForwardRun(int64_t source, int64_t first, int64_t targets) const;
  simd::TapRun BackRun(int64_t source, int64_t first, int64_t targets) const;
  simd::TapRun Run(int64_t count, int64_t kernel, int64_t target) const;

  AxisWindow window_;
  Direction direction_;
  int64_t sources_;
  TapSteps steps_;
  // Forward, those of the kernel's indices that have a target for a source are kernel_step_ apart: those congruent to
  // (source + padding) / divisor_ * inverse_.
  int64_t divisor_;
  int64_t kernel_step_;
  int64_t inverse_;
};

// The sources, of a whole axis, from which something may come to a tile of targets.
//
// Runs take several times the memory of their elements. So those of a long axis are kept for a part of it only, the
// last one that was asked for. Of one thread.
class AxisTile {
 public:
  // The longest part.
  static constexpr int64_t kMaxRuns = 1 << 16;

  int64_t source_begin() const { return source_begin_; }
  int64_t sources() const { return sources_; }
  // That no source exceeds.
  int64_t most_taps() const { return most_taps_; }
  // Of `count` <= kMaxRuns sources from `first` on, counted from source_begin; valid until the next call.
  simd::AxisTaps Part(int64_t first, int64_t count);

 private:
  friend class TapAxis;

  // Keeps the runs of as many sources as may be, from `first` on.
  void Keep(int64_t first);

  const TapAxis* axis_ = nullptr;
  int64_t first_target_ = 0;
  int64_t targets_ = 0;
  int64_t source_begin_ = 0;
  int64_t sources_ = 0;
  int64_t most_taps_ = 0;
  simd::Tap step_ = {};
  // Of the sources from kept_begin_ on.
  int64_t kept_begin_ = 0;
  std::vector<simd::TapRun> runs_;
};

// simd::AddTapProducts of `count` rows of `rows` from `first` on; `plane` begins with the first of them. Asks
// between pieces; false where the executor has stopped.
bool AddTapProducts(const float* plane, int64_t plane_stride, AxisTile& rows, int64_t first, int64_t count,
                    AxisTile& columns, const float* from, float* to, int64_t size, StopCheck& stop);

// target[s, g, n] = start[g, n] + the sum over the channels c of group g of what the elements of source[s, g, c] send
// to it through the window, each times the row of the table for its channel and the kernel's element. A sum's terms are
// added in the order of channels, and in a channel in that of its elements, whatever the executor.
//
// Where most elements are 0, the others add their rows to the sums; else the elements of each target are laid out for a
// product of matrices, to the same sums.
struct PlaneProducts {
  const Window& window;
  Direction direction;
  int64_t samples;
  int64_t groups;
  // Of a group.
  int64_t source_channels;
  int64_t target_channels;
  // Of a plane.
  Extent source;
  Extent target;
  // The row of group g, channel c and the kernel's element k begins at table[g * group_step + (c * kernel_size + k) *
  // row_step], and is of target_channels. Back, the kernel's elements are in reverse.
  const float* table;
  int64_t group_step;
  int64_t row_step;
  // [groups, target_channels]; null: 0.
  const float* start;

  // From [samples, groups, source_channels, source] to [samples, groups, target_channels, target].
  void Run(const float* from, float* to, Executor& executor) const;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_PLANE_PRODUCTS_H_

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

// The sources, of a whole axis, from which something may come to a tile of targets.
struct AxisTile {
  int64_t source_begin = 0;
  std::vector<simd::TapRun> runs;
  simd::Tap step = {};
  // Of a source.
  int64_t most_taps = 0;

  int64_t sources() const { return static_cast<int64_t>(runs.size()); }
  // Of `count` sources from `first` on, counted from source_begin.
  simd::AxisTaps Part(int64_t first, int64_t count) const { return {count, runs.data() + first, step}; }
  simd::AxisTaps All() const { return Part(0, sources()); }
};

// An axis of `sources`, that go through a window to targets.
class TapAxis {
 public:
  TapAxis(const AxisWindow& window, Direction direction, int64_t sources, const TapSteps& steps);

  // The tile of `targets` >= 1 from `first` on.
  void Cut(int64_t first, int64_t targets, AxisTile& tile) const;

 private:
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

// simd::AddTapProducts of `count` rows of `rows` from `first` on; `plane` begins with the first of them. Asks
// between pieces; false where the executor has stopped.
bool AddTapProducts(const float* plane, int64_t plane_stride, const AxisTile& rows, int64_t first, int64_t count,
                    const AxisTile& columns, const float* from, float* to, int64_t size, StopCheck& stop);

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

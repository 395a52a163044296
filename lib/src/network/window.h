// Windows that slide over planes: what convolutions and pools share.

#ifndef SPIKESERVE_SRC_NETWORK_WINDOW_H_
#define SPIKESERVE_SRC_NETWORK_WINDOW_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "network/network_layer.h"
#include "spikeserve/compute/layer_spec.h"

namespace spikeserve {

// The longest plane, kernel, stride, padding and dilation: sums of products of two do not overflow.
inline constexpr int64_t kMaxPlaneLength = std::numeric_limits<int32_t>::max();

// One dimension of a window.
struct AxisWindow {
  int64_t kernel;
  int64_t stride;
  int64_t padding;
  int64_t dilation;

  // Of a plane's `length`, <= kMaxPlaneLength; below 1 where the window does not fit into it.
  int64_t OutputLength(int64_t length) const {
    const int64_t slack = length + 2 * padding - dilation * (kernel - 1) - 1;
    return slack < 0 ? 0 : slack / stride + 1;
  }
};

struct Window {
  AxisWindow height;
  AxisWindow width;

  Window(Extent kernel, Extent stride, Extent padding, Extent dilation)
      : height{kernel.height, stride.height, padding.height, dilation.height},
        width{kernel.width, stride.width, padding.width, dilation.width} {}

  int64_t kernel_size() const { return height.kernel * width.kernel; }
  // Of a plane of `input`; see AxisWindow::OutputLength.
  Extent Output(Extent input) const { return {height.OutputLength(input.height), width.OutputLength(input.width)}; }
};

// "[3, 2]".
std::string ExtentString(Extent extent);

// Refuses lengths that are below `least`, or above kMaxPlaneLength.
absl::Status CheckExtent(std::string_view field, Extent extent, int64_t least);

// Refuses a layer on planes, where what is known of its input is not [channels, height, width].
absl::Status CheckPlanes(std::string_view field, const KnownShape& shape);

// Makes of what is known of the input's shape what is known of the output's, of `channels`. Refuses planes into which
// the window does not fit; `field` is that of the kernel.
absl::Status Slide(std::string_view field, const Window& window, int64_t channels, KnownShape& shape);

// The planes of a step of shape [batch, channels, height, width].
inline Extent PlaneOf(const Shape& step) { return {step[2], step[3]}; }

// Whether `input` is [batch, channels, height, width] with planes into which the window fits.
bool Fits(const Window& window, const Shape& input);
// "planes of at least [3, 3] with their padding", for errors.
std::string FittingPlanes(const Window& window);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_WINDOW_H_

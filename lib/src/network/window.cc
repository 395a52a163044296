#include "network/window.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

// The least length, without padding, that the window fits into.
int64_t LeastLength(const AxisWindow& window) {
  return std::max<int64_t>(1, window.dilation * (window.kernel - 1) + 1 - 2 * window.padding);
}

bool FitsLength(const AxisWindow& window, int64_t length) {
  return length >= LeastLength(window) && length <= kMaxPlaneLength;
}

}  // namespace

std::string ExtentString(Extent extent) { return absl::StrCat("[", extent.height, ", ", extent.width, "]"); }

absl::Status CheckExtent(std::string_view field, Extent extent, int64_t least) {
  const auto [low, high] = std::minmax(extent.height, extent.width);
  if (low >= least && high <= kMaxPlaneLength) return absl::OkStatus();
  return InvalidField(field, ExtentString(extent), absl::StrCat("[height, width] from ", least, " to 2^31 - 1"));
}

absl::Status CheckPlanes(std::string_view field, const KnownShape& shape) {
  if (!shape.has_value() || shape->size() == 3) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("steps of [batch, ", KnownShapeString(*shape).substr(1)),
                      "[batch, channels, height, width]");
}

absl::Status Slide(std::string_view field, const Window& window, int64_t channels, KnownShape& shape) {
  Shape output = {channels, kAnyLength, kAnyLength};
  const AxisWindow* axes[] = {&window.height, &window.width};
  for (int i = 0; shape.has_value() && i < 2; ++i) {
    const int64_t length = (*shape)[1 + i];
    if (length == kAnyLength) continue;
    if (!FitsLength(*axes[i], length)) {
      return InvalidField(field, ExtentString({window.height.kernel, window.width.kernel}),
                          absl::StrCat("a kernel that fits into the planes of [", KnownShapeString(*shape).substr(1),
                                       " that the layers before it give, with their padding"));
    }
    output[1 + i] = axes[i]->OutputLength(length);
  }
  shape = output;
  return absl::OkStatus();
}

bool Fits(const Window& window, const Shape& input) {
  return input.size() == 4 && FitsLength(window.height, input[2]) && FitsLength(window.width, input[3]);
}

std::string FittingPlanes(const Window& window) {
  return absl::StrCat("height >= ", LeastLength(window.height), " and width >= ", LeastLength(window.width));
}

}  // namespace spikeserve

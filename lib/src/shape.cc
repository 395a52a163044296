#include "spikeserve/compute/shape.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace spikeserve {
namespace {

int64_t ByteSizeOf(DataType dtype) {
  static constexpr int64_t kSizes[] = {1, 0, 1, 4, 8, 4, 8};  // kBit has none of its own.
  return kSizes[static_cast<int>(dtype)];
}

}  // namespace

std::string ShapeString(absl::Span<const int64_t> shape) {
  constexpr size_t kShown = 16;
  if (shape.size() <= kShown) return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
  return absl::StrCat("[", absl::StrJoin(shape.first(kShown), ", "), ", and ", shape.size() - kShown, " more]");
}

std::optional<int64_t> ElementCount(absl::Span<const int64_t> shape) {
  if (std::any_of(shape.begin(), shape.end(), [](int64_t length) { return length < 0; })) return std::nullopt;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t count = 1;
  for (const int64_t length : shape) {
    if (__builtin_mul_overflow(count, length, &count)) return std::nullopt;
  }
  return count;
}

std::optional<int64_t> ByteCount(DataType dtype, absl::Span<const int64_t> shape) {
  const std::optional<int64_t> count = ElementCount(shape);
  if (!count || *count == 0) return count;
  if (dtype == DataType::kBit) {
    const int64_t length = shape.empty() ? 1 : shape.back();
    return *count / length * (length / 8 + (length % 8 != 0));
  }
  int64_t bytes;
  if (__builtin_mul_overflow(*count, ByteSizeOf(dtype), &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace spikeserve

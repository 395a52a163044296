#include "spikeserve/compute/redundant_one_hot.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

absl::StatusOr<int64_t> RedundantOneHotWidth(int64_t num_classes, int64_t n) {
  if (num_classes < 1) return InvalidField("num_classes", absl::StrCat(num_classes), ">= 1");
  if (n < 1) return InvalidField("n", absl::StrCat(n), ">= 1");
  const std::optional<int64_t> width = ElementCount({num_classes, n});
  if (!width) {
    return InvalidField("n", absl::StrCat(n, " with num_classes ", num_classes), "num_classes * n below 2^63");
  }
  return *width;
}

template <typename Scalar>
absl::Status RedundantOneHot(absl::Span<const int64_t> labels, int64_t num_classes, int64_t n,
                             absl::Span<Scalar> codes) {
  const absl::StatusOr<int64_t> width = RedundantOneHotWidth(num_classes, n);
  if (!width.ok()) return width.status();
  const int64_t rows = static_cast<int64_t>(labels.size());
  if (ElementCount({rows, *width}) != static_cast<int64_t>(codes.size())) {
    return InvalidField("codes", absl::StrCat(codes.size(), " elements"), ShapeString({rows, *width}));
  }
  for (size_t b = 0; b < labels.size(); ++b) {
    if (labels[b] < 0 || labels[b] >= num_classes) {
      return InvalidField("labels", absl::StrCat("labels[", b, "] is ", labels[b]),
                          absl::StrCat("labels in [0, num_classes) = [0, ", num_classes, ")"));
    }
  }
  std::fill(codes.begin(), codes.end(), Scalar{0});
  for (size_t b = 0; b < labels.size(); ++b) {
    std::fill_n(codes.begin() + static_cast<int64_t>(b) * *width + labels[b] * n, n, Scalar{1});
  }
  return absl::OkStatus();
}

template absl::Status RedundantOneHot(absl::Span<const int64_t>, int64_t, int64_t, absl::Span<float>);
template absl::Status RedundantOneHot(absl::Span<const int64_t>, int64_t, int64_t, absl::Span<uint8_t>);

}  // namespace spikeserve

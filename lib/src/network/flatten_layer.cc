#include "network/flatten_layer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "network/element_loops.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
std::optional<std::pair<int64_t, int64_t>> FlattenLayer::Dimensions(int64_t rank) const {
  const int64_t start = spec_.start_dim < 0 ? spec_.start_dim + rank : spec_.start_dim;
  const int64_t end = spec_.end_dim < 0 ? spec_.end_dim + rank : spec_.end_dim;
  if (start < 1 || end < start || end >= rank) return std::nullopt;
  return std::pair(start, end);
}

absl::Status FlattenLayer::Check(std::string_view field, KnownShape& shape) const {
  const std::string prefix(field);
  const auto [start, end] = spec_;
  if (start == 0) return InvalidField(prefix + ".start_dim", "0", "a dimension behind the batch, which stays");
  if (end == 0 || ((start < 0) == (end < 0) && end < start)) {
    return InvalidField(prefix + ".end_dim", absl::StrCat(end), absl::StrCat("not before start_dim, ", start));
  }
  if (!shape.has_value()) return absl::OkStatus();
  const auto dimensions = Dimensions(static_cast<int64_t>(shape->size()) + 1);
  if (!dimensions.has_value()) {
    return InvalidField(
        prefix,
        absl::StrCat("dimensions ", start, " to ", end, " of steps of [batch, ", KnownShapeString(*shape).substr(1)),
        "dimensions behind the batch, in their order");
  }
  const auto first = shape->begin() + (dimensions->first - 1), last = shape->begin() + dimensions->second;
  int64_t length = kAnyLength;
  if (std::find(first, last, kAnyLength) == last) {
    // Lengths that are too large are found when there is a batch.
    length = ElementCount(absl::MakeConstSpan(first, last - first)).value_or(kAnyLength);
  }
  Shape flat(shape->begin(), first);
  flat.push_back(length);
  flat.insert(flat.end(), last, shape->end());
  shape = flat;
  return absl::OkStatus();
}

absl::StatusOr<Shape> FlattenLayer::OutputShape(const Shape& input) const {
  const auto dimensions = Dimensions(static_cast<int64_t>(input.size()));
  if (!dimensions.has_value()) {
    return WrongInput(input, absl::StrCat("dimensions ", spec_.start_dim, " to ", spec_.end_dim, " behind the batch"));
  }
  const auto first = input.begin() + dimensions->first, last = input.begin() + dimensions->second + 1;
  const auto length = ElementCount(absl::MakeConstSpan(first, last - first));
  if (!length.has_value()) return WrongInput(input, "fewer than 2^63 elements");
  Shape flat(input.begin(), first);
  flat.push_back(*length);
  flat.insert(flat.end(), last, input.end());
  return flat;
}

void FlattenLayer::Forward(const ForwardBlock& block, Executor& executor) {
  CopyElements(block.input, block.output, executor);
}

void FlattenLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  if (!block.grad_input.empty()) CopyElements(block.grad_output, block.grad_input, executor);
}

}  // namespace spikeserve

#include "network/linear_layer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {

FullyConnectedLayer::FullyConnectedLayer(std::string name, const LinearLayer& spec)
    : NetworkLayer(std::move(name)),
      weight_(spec.weight.transpose()),
      bias_(Eigen::Map<const Eigen::RowVectorXf>(spec.bias.data(), static_cast<Eigen::Index>(spec.bias.size()))) {}

absl::Status FullyConnectedLayer::Check(std::string_view field, std::optional<int64_t>& features) const {
  const std::string prefix(field);
  const std::string shape = absl::StrCat("shape ", ShapeString({out(), in()}));
  if (in() == 0 || out() == 0) return InvalidField(prefix + ".weight", shape, "at least one row and one column");
  if (!weight_.allFinite()) return InvalidField(prefix + ".weight", "NaN or an infinity", "finite numbers");
  if (features.has_value() && *features != in()) {
    return InvalidField(prefix + ".weight", shape,
                        absl::StrCat("[out, ", *features, "], for the features that the layers before it give"));
  }
  if (bias_.size() != 0 && bias_.size() != out()) {
    return InvalidField(prefix + ".bias", absl::StrCat(bias_.size(), " elements"),
                        absl::StrCat(out(), ", the rows of the weight"));
  }
  if (!bias_.allFinite()) return InvalidField(prefix + ".bias", "NaN or an infinity", "finite numbers");
  features = out();
  return absl::OkStatus();
}

decltype(LayerSpec::kind) FullyConnectedLayer::Kind() const {
  return LinearLayer{.weight = weight_.transpose(), .bias = std::vector<float>(bias_.begin(), bias_.end())};
}

absl::StatusOr<Shape> FullyConnectedLayer::OutputShape(const Shape& input) const {
  if (input.size() != 2 || input[1] != in()) {
    return InvalidField("input", absl::StrCat("a step of ", ShapeString(input), " at layer \"", name(), "\""),
                        absl::StrCat("[batch, ", in(), "]"));
  }
  return Shape{input[0], out()};
}

void FullyConnectedLayer::Step(absl::Span<const float> input, absl::Span<float> output, Executor& executor) {
  const int64_t batch = static_cast<int64_t>(input.size()) / in();
  const Eigen::Map<const RowMatrix<float>> x(input.data(), batch, in());
  Eigen::Map<RowMatrix<float>> y(output.data(), batch, out());
  executor.ParallelFor(batch, std::max<int64_t>(1, kElementGrain / weight_.size()), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      if (bias_.size() == 0) {
        y.row(b).setZero();
      } else {
        y.row(b) = bias_;
      }
      for (int64_t k = 0; k < in(); ++k) {
        if (x(b, k) != 0) y.row(b) += x(b, k) * weight_.row(k);
      }
    }
  });
}

int64_t FullyConnectedLayer::ByteSize() const {
  return sizeof(*this) + name().size() + (weight_.size() + bias_.size()) * sizeof(float);
}

}  // namespace spikeserve

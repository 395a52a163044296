#include "train/parameters.h"

#include <cmath>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "train/random.h"

namespace spikeserve::train {
namespace {

// The parameters of a layer that are drawn; empty ones are absent.
struct Drawn {
  absl::Span<float> weight;
  absl::Span<float> bias;
  int64_t fan_in;
};

Drawn DrawnParameters(LinearLayer& layer) {
  return {absl::MakeSpan(layer.weight.data(), layer.weight.size()), absl::MakeSpan(layer.bias), layer.weight.cols()};
}

Drawn DrawnParameters(Conv2d& layer) {
  const Shape& shape = layer.weight_shape;
  return {absl::MakeSpan(layer.weight), absl::MakeSpan(layer.bias), shape[1] * shape[2] * shape[3]};
}

template <typename Kind>
Drawn DrawnParameters(Kind&) {
  return {{}, {}, 0};
}

}  // namespace

absl::Status DrawParameter(absl::Span<LayerSpec> layers, size_t index, std::string_view parameter, uint64_t seed) {
  const Drawn drawn = std::visit([](auto& kind) { return DrawnParameters(kind); }, layers[index].kind);
  const bool is_bias = parameter == "bias";
  const absl::Span<float> values = is_bias ? drawn.bias : parameter == "weight" ? drawn.weight : absl::Span<float>();
  if (values.empty()) {
    return absl::InvalidArgumentError(
        "only a shape; need an array, as only weights and biases of linear and convolutional layers are drawn");
  }
  const double bound = 1 / std::sqrt(static_cast<double>(drawn.fan_in));
  Random random(seed, Purpose::kParameters, 2 * index + (is_bias ? 1 : 0));
  for (float& value : values) value = static_cast<float>((2 * random.Uniform() - 1) * bound);
  return absl::OkStatus();
}

std::vector<LayerSpec> FullyConnected(const FullyConnectedOptions& options) {
  std::vector<int64_t> widths = options.hidden;
  widths.push_back(options.outputs);
  std::vector<LayerSpec> layers;
  int64_t inputs = options.inputs;
  for (size_t i = 0; i < widths.size(); ++i) {
    layers.push_back({absl::StrCat("fc", i + 1), LinearLayer{.weight = RowMatrix<float>(widths[i], inputs),
                                                             .bias = std::vector<float>(widths[i])}});
    layers.push_back({absl::StrCat("lif", i + 1), options.neuron});
    for (const char* parameter : {"weight", "bias"}) {
      DrawParameter(absl::MakeSpan(layers), 2 * i, parameter, options.seed).IgnoreError();  // Linear layers have both.
    }
    inputs = widths[i];
  }
  return layers;
}

}  // namespace spikeserve::train

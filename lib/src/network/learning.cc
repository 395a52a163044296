#include "network/learning.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {
namespace {

using Matrix = Eigen::Map<RowMatrix<float>>;
using ConstMatrix = Eigen::Map<const RowMatrix<float>>;

// The rows and columns of a parameter that is kept transposed, as others see it: behind the first dimension all are
// one.
std::pair<int64_t, int64_t> OutsideExtent(const Parameter& parameter) {
  return {parameter.shape[0], *ElementCount(absl::MakeConstSpan(parameter.shape).subspan(1))};
}

std::vector<float> ToOutside(const Parameter& parameter, absl::Span<const float> values) {
  std::vector<float> outside(parameter.values.size());
  if (values.empty()) return outside;
  if (parameter.transposed) {
    const auto [rows, cols] = OutsideExtent(parameter);
    Matrix(outside.data(), rows, cols) = ConstMatrix(values.data(), cols, rows).transpose();
  } else {
    std::copy(values.begin(), values.end(), outside.begin());
  }
  return outside;
}

std::vector<float> ToInside(const Parameter& parameter, const std::vector<float>& outside) {
  if (!parameter.transposed) return outside;
  const auto [rows, cols] = OutsideExtent(parameter);
  std::vector<float> values(outside.size());
  Matrix(values.data(), cols, rows) = ConstMatrix(outside.data(), rows, cols).transpose();
  return values;
}

absl::Status CheckTensor(const std::string& field, const Parameter& parameter, const ParameterTensor& tensor) {
  if (tensor.shape != parameter.shape || tensor.values.size() != parameter.values.size()) {
    return InvalidField(field, absl::StrCat("shape ", ShapeString(tensor.shape)),
                        absl::StrCat(ShapeString(parameter.shape), ", that of ", tensor.layer, ".", tensor.parameter));
  }
  return CheckFinite(field, tensor.values);
}

}  // namespace

ParameterNumbers ZerosFor(const Layers& layers) {
  ParameterNumbers zeros;
  for (const auto& layer : layers) {
    auto& of_layer = zeros.emplace_back();
    for (const Parameter& parameter : layer->Parameters()) of_layer.emplace_back(parameter.values.size());
  }
  return zeros;
}

int64_t ByteSizeFor(const Layers& layers) {
  int64_t bytes = 0;
  for (const auto& layer : layers) {
    for (const Parameter& parameter : layer->Parameters()) {
      bytes += static_cast<int64_t>(parameter.values.size() * sizeof(float));
    }
  }
  return bytes;
}

int64_t ByteSize(const ParameterNumbers& numbers) {
  int64_t bytes = 0;
  for (const auto& of_layer : numbers) {
    for (const auto& values : of_layer) bytes += static_cast<int64_t>(values.size() * sizeof(float));
  }
  return bytes;
}

std::vector<ParameterTensor> Export(const Layers& layers, const ParameterNumbers& numbers) {
  std::vector<ParameterTensor> tensors;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::vector<Parameter> parameters = layers[i]->Parameters();
    for (size_t p = 0; p < parameters.size(); ++p) {
      tensors.push_back(
          {.layer = layers[i]->name(),
           .parameter = parameters[p].name,
           .shape = parameters[p].shape,
           .values = ToOutside(parameters[p], numbers.empty() ? absl::Span<const float>() : numbers[i][p])});
    }
  }
  return tensors;
}

absl::StatusOr<ParameterNumbers> Import(std::string_view field, const Layers& layers,
                                        absl::Span<const ParameterTensor> tensors) {
  std::map<std::pair<std::string, std::string>, size_t> index;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const std::string name = absl::StrCat(std::string(field), "[", t, "]");
    if (!index.emplace(std::pair(tensors[t].layer, tensors[t].parameter), t).second) {
      return InvalidField(name, absl::StrCat(tensors[t].layer, ".", tensors[t].parameter, " again"), "each once");
    }
  }
  ParameterNumbers numbers;
  size_t used = 0;
  for (const auto& layer : layers) {
    auto& of_layer = numbers.emplace_back();
    for (const Parameter& parameter : layer->Parameters()) {
      const auto found = index.find(std::pair(layer->name(), std::string(parameter.name)));
      if (found == index.end()) {
        return InvalidField(field, absl::StrCat("nothing for ", layer->name(), ".", parameter.name),
                            "one tensor for each parameter");
      }
      const std::string name = absl::StrCat(std::string(field), "[", found->second, "]");
      const ParameterTensor& tensor = tensors[found->second];
      if (absl::Status status = CheckTensor(name, parameter, tensor); !status.ok()) return status;
      of_layer.push_back(ToInside(parameter, tensor.values));
      ++used;
    }
  }
  if (used != tensors.size()) {
    return InvalidField(field, absl::StrCat(tensors.size(), " tensors"),
                        absl::StrCat(used, ", one for each parameter of the network"));
  }
  return numbers;
}

std::vector<bool> TracedValuesOf(const Layers& layers) {
  std::vector<bool> traced(layers.size() + 1);
  for (size_t i = 0; i < layers.size(); ++i) {
    const NetworkLayer::Needs needs = layers[i]->BackwardNeeds();
    if (needs.input) traced[i] = true;
    if (needs.output) traced[i + 1] = true;
  }
  return traced;
}

int64_t Learning::ByteSize() const {
  return trace.ByteSize() + spikeserve::ByteSize(gradients) + spikeserve::ByteSize(optimizer.first) +
         spikeserve::ByteSize(optimizer.second);
}

}  // namespace spikeserve

#include "network/linear_layer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "matrix_product.h"
#include "network/constant_input.h"
#include "network/element_loops.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {

FullyConnectedLayer::FullyConnectedLayer(std::string name, const LinearLayer& spec)
    : NetworkLayer(std::move(name)),
      weight_(spec.weight.transpose()),
      bias_(Eigen::Map<const Eigen::RowVectorXf>(spec.bias.data(), static_cast<Eigen::Index>(spec.bias.size()))) {}

absl::Status FullyConnectedLayer::Check(std::string_view field, KnownShape& shape) const {
  const std::string prefix(field);
  const std::string got = absl::StrCat("shape ", ShapeString({out(), in()}));
  if (in() == 0 || out() == 0) return InvalidField(prefix + ".weight", got, "at least one row and one column");
  if (!weight_.allFinite()) return InvalidField(prefix + ".weight", "NaN or an infinity", "finite numbers");
  if (shape.has_value() && shape->size() != 1) {
    return InvalidField(prefix, absl::StrCat("steps of [batch, ", KnownShapeString(*shape).substr(1)),
                        "[batch, features]: a flatten layer before it");
  }
  if (shape.has_value() && shape->front() != kAnyLength && shape->front() != in()) {
    return InvalidField(prefix + ".weight", got,
                        absl::StrCat("[out, ", shape->front(), "], for the features that the layers before it give"));
  }
  if (bias_.size() != 0 && bias_.size() != out()) {
    return InvalidField(prefix + ".bias", absl::StrCat(bias_.size(), " elements"),
                        absl::StrCat(out(), ", the rows of the weight"));
  }
  if (!bias_.allFinite()) return InvalidField(prefix + ".bias", "NaN or an infinity", "finite numbers");
  shape = Shape{out()};
  return absl::OkStatus();
}

decltype(LayerSpec::kind) FullyConnectedLayer::Kind() const {
  return LinearLayer{.weight = weight_.transpose(), .bias = std::vector<float>(bias_.begin(), bias_.end())};
}

absl::StatusOr<Shape> FullyConnectedLayer::OutputShape(const Shape& input) const {
  if (input.size() != 2 || input[1] != in()) {
    return WrongInput(input, absl::StrCat("[batch, ", in(), "]"));
  }
  return Shape{input[0], out()};
}

double FullyConnectedLayer::StepWork(const Shape& input, const Shape&) const {
  // Few outputs take as long as the lanes of a vector.
  return Elements(input) * static_cast<double>(std::max<int64_t>(16, out()));
}

void FullyConnectedLayer::Forward(const ForwardBlock& block, Executor& executor) {
  const bool constant = IsConstant(block.input, block.steps);
  const int64_t rows = static_cast<int64_t>(block.input.size()) / in() / (constant ? block.steps : 1);
  ParallelMatrixProduct({block.input.data(), in(), 1}, {weight_.data(), out()}, rows, out(), in(),
                        ProductStart::kOntoRow, bias_.size() == 0 ? nullptr : bias_.data(), block.output.data(), out(),
                        executor);
  if (constant) RepeatFirstStep(block.output, block.steps, executor);
}

std::vector<Parameter> FullyConnectedLayer::Parameters() {
  std::vector<Parameter> parameters = {{.name = "weight",
                                        .values = {weight_.data(), static_cast<size_t>(weight_.size())},
                                        .shape = {out(), in()},
                                        .transposed = true}};
  if (bias_.size() != 0) {
    parameters.push_back(
        {.name = "bias", .values = {bias_.data(), static_cast<size_t>(bias_.size())}, .shape = {out()}});
  }
  return parameters;
}

void FullyConnectedLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  int64_t rows = static_cast<int64_t>(block.input.size()) / in();
  if (!block.grad_input.empty()) {
    ScratchFloats weight(static_cast<size_t>(weight_.size()));
    TransposeElements(weight_.data(), out(), in(), out(), weight.data(), in(), executor);
    ParallelMatrixProduct({block.grad_output.data(), out(), 1}, {weight.data(), in()}, rows, in(), out(),
                          ProductStart::kOntoRow, nullptr, block.grad_input.data(), in(), executor);
  }
  RightOperand grad{block.grad_output.data(), out()};
  ScratchFloats sums;
  if (IsConstant(block.input, block.steps)) {
    sums = SumOfSteps(block.grad_output, block.steps, executor);
    grad.data = sums.data();
    rows /= block.steps;
  }
  ParallelMatrixProduct({block.input.data(), 1, in()}, grad, in(), out(), rows, ProductStart::kOntoResult, nullptr,
                        block.gradients[0].data(), out(), executor);
  if (bias_.size() != 0) {
    const float one = 1;
    ParallelMatrixProduct({&one, 0, 0}, grad, 1, out(), rows, ProductStart::kOntoResult, nullptr,
                          block.gradients[1].data(), out(), executor);
  }
}

int64_t FullyConnectedLayer::ByteSize() const {
  return sizeof(*this) + name().size() + (weight_.size() + bias_.size()) * sizeof(float);
}

}  // namespace spikeserve

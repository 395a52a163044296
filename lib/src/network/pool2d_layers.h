// The layers that pool windows of planes: means and maxima.

#ifndef SPIKESERVE_SRC_NETWORK_POOL2D_LAYERS_H_
#define SPIKESERVE_SRC_NETWORK_POOL2D_LAYERS_H_

#include <string>

#include "network/network_layer.h"
#include "network/window.h"

namespace spikeserve {

// Of indices.
struct Range {
  int64_t begin;
  int64_t end;
  int64_t size() const { return end - begin; }
};

// What the pools share: the geometry.
class Pool2dLayer : public NetworkLayer {
 public:
  Pool2dLayer(std::string name, Extent kernel, std::optional<Extent> stride, Extent padding);

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  absl::StatusOr<Shape> OutputShape(const Shape& input) const override;
  double StepWork(const Shape& input, const Shape& output) const override;
  void SetStep(const Shape& input, bool training) override;
  int64_t ByteSize() const override { return sizeof(*this) + name().size(); }

 protected:
  // The planes of a block with so many elements in them.
  int64_t Planes(size_t input_elements) const;
  // Calls body(plane, row, columns, meter) for ranges of columns that cover each row of the outputs of so many planes.
  template <class Body>
  void ForEachOutput(int64_t planes, Executor& executor, Body body) const;
  // The same of each plane's rows one after the other, since windows that lie over each other add to the same elements
  // of `grad_input`, which is 0 before. The ranges of a row come from the first column on, or from the last.
  enum class Order { kFromFirst, kFromLast };
  template <class Body>
  void ForEachOutputBack(absl::Span<float> grad_input, Order order, Executor& executor, Body body) const;
  // The elements of a plane that a window takes, at most.
  int64_t covered() const;
  int64_t input_plane() const { return input_.height * input_.width; }
  int64_t output_plane() const { return output_.height * output_.width; }

  Window window_;
  // Of a plane, as SetStep has it.
  Extent input_ = {0, 0};
  Extent output_ = {0, 0};
};

class AvgPool2dLayer final : public Pool2dLayer {
 public:
  AvgPool2dLayer(std::string name, const AvgPool2d& spec)
      : Pool2dLayer(std::move(name), spec.kernel, spec.stride, spec.padding), spec_(spec) {}

  decltype(LayerSpec::kind) Kind() const override { return spec_; }
  void Forward(const ForwardBlock& block, Executor& executor) override;
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;

 private:
  // Divides the sums, or gradients, of columns of row `row` of the outputs by the numbers of elements in their windows.
  // Both are of these columns alone.
  void Divide(int64_t row, Range columns, const float* sums, float* means) const;

  AvgPool2d spec_;
};

class MaxPool2dLayer final : public Pool2dLayer {
 public:
  MaxPool2dLayer(std::string name, const MaxPool2d& spec)
      : Pool2dLayer(std::move(name), spec.kernel, spec.stride, spec.padding), spec_(spec) {}

  decltype(LayerSpec::kind) Kind() const override { return spec_; }
  void Forward(const ForwardBlock& block, Executor& executor) override;
  // Where the maxima were is found again from the input.
  Needs BackwardNeeds() const override { return {.input = true}; }
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;

 private:
  MaxPool2d spec_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_POOL2D_LAYERS_H_

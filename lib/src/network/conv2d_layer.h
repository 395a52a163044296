// The convolution of planes.

#ifndef SPIKESERVE_SRC_NETWORK_CONV2D_LAYER_H_
#define SPIKESERVE_SRC_NETWORK_CONV2D_LAYER_H_

#include <string>
#include <vector>

#include "network/network_layer.h"
#include "network/plane_products.h"
#include "network/window.h"

namespace spikeserve {

// Each element that is not 0 adds its multiples of rows of the weight to the outputs of its neighbourhood, so a step
// costs as much as there are spikes; so does the weight's gradient. An output's terms are added in the order of
// channels, and in a channel in that of the kernel's elements, from the bias on.
class Conv2dLayer final : public NetworkLayer {
 public:
  Conv2dLayer(std::string name, Conv2d spec);

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  decltype(LayerSpec::kind) Kind() const override;
  absl::StatusOr<Shape> OutputShape(const Shape& input) const override;
  double StepWork(const Shape& input, const Shape& output) const override;
  void SetStep(const Shape& input, bool training) override;
  void Forward(const ForwardBlock& block, Executor& executor) override;
  Needs BackwardNeeds() const override { return {.input = true}; }
  std::vector<Parameter> Parameters() override;
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;
  int64_t ByteSize() const override;

 private:
  int64_t out() const { return spec_.weight_shape[0]; }
  int64_t group_in() const { return spec_.weight_shape[1]; }
  int64_t in() const { return group_in() * spec_.groups; }
  int64_t group_out() const { return out() / spec_.groups; }
  // The samples of all steps in so many elements of the input.
  int64_t Samples(size_t input_elements) const;

  // The samples are those of the output's gradient; the input may have more.
  void AddWeightGradient(absl::Span<const float> input, absl::Span<const float> grad_output, absl::Span<float> gradient,
                         Executor& executor) const;
  void AddBiasGradient(absl::Span<const float> grad_output, absl::Span<float> gradient, Executor& executor) const;
  void SetInputGradient(const BackwardBlock& block, Executor& executor) const;

  // With the weight transposed, [in / groups, kernel height, kernel width, out], once it is known to be of its shape.
  Conv2d spec_;
  Window window_;
  // Of a plane, as SetStep has it.
  Extent input_ = {0, 0};
  Extent output_ = {0, 0};
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_CONV2D_LAYER_H_

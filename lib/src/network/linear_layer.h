// The fully connected layer.

#ifndef SPIKESERVE_SRC_NETWORK_LINEAR_LAYER_H_
#define SPIKESERVE_SRC_NETWORK_LINEAR_LAYER_H_

#include <string>

#include "network/network_layer.h"

namespace spikeserve {

// Keeps the weight transposed, [in, out]: an output row is the sum of the weight's rows at which the input is not 0, so
// a step costs as much as there are spikes. The terms are added in the order of the inputs, from the bias on.
class FullyConnectedLayer final : public NetworkLayer {
 public:
  FullyConnectedLayer(std::string name, const LinearLayer& spec);

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  decltype(LayerSpec::kind) Kind() const override;
  absl::StatusOr<Shape> OutputShape(const Shape& input) const override;
  double StepWork(const Shape& input, const Shape& output) const override;
  void Forward(const ForwardBlock& block, Executor& executor) override;
  Needs BackwardNeeds() const override { return {.input = true}; }
  std::vector<Parameter> Parameters() override;
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;
  int64_t ByteSize() const override;

 private:
  int64_t in() const { return weight_.rows(); }
  int64_t out() const { return weight_.cols(); }

  RowMatrix<float> weight_;
  // Of `out` elements, or none.
  Eigen::RowVectorXf bias_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_LINEAR_LAYER_H_

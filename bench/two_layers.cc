#include "bench/two_layers.h"

namespace spikeserve::bench {

std::vector<LayerSpec> TwoLayers(const OperandOf& operand, const Json& params) {
  LifNode lif;
  lif.tau = params.at("tau").get<double>();
  lif.surrogate = SigmoidSurrogate{params.at("alpha").get<double>()};
  const auto linear = [&](const char* weight, const char* bias) {
    const TensorView w = operand(weight), b = operand(bias);
    const auto* values = static_cast<const float*>(b.data());
    return LinearLayer{
        .weight = Eigen::Map<const RowMatrix<float>>(static_cast<const float*>(w.data()), w.shape()[0], w.shape()[1]),
        .bias = {values, values + b.size()}};
  };
  return {{.name = "fc1", .kind = linear("w1", "b1")},
          {.name = "hidden", .kind = lif},
          {.name = "fc2", .kind = linear("w2", "b2")},
          {.name = "out", .kind = lif}};
}

}  // namespace spikeserve::bench

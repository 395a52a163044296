// What the tests of back-propagation share.

#ifndef SPIKESERVE_TESTS_LIB_BACKWARD_TESTING_H_
#define SPIKESERVE_TESTS_LIB_BACKWARD_TESTING_H_

#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {

inline ForwardResult Trace(Network& network, absl::Span<const float> input, const Shape& shape,
                           Executor& executor = InlineExecutor()) {
  auto result = network.Forward(input, shape, {.keep_trace = true}, executor);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

inline BackwardResult Back(Network& network, absl::Span<const float> grad_output,
                           Executor& executor = InlineExecutor()) {
  auto result = network.Backward({.grad_output = grad_output, .compute_grad_input = true}, executor);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

inline std::vector<float> GradientOf(const Network& network, std::string_view layer, std::string_view parameter) {
  return ValuesOf(network.Gradients(), layer, parameter);
}

struct TwoLayers {
  LinearLayer first = RandomLinear(6, 20, 11);
  LinearLayer second = RandomLinear(20, 5, 12);
  LifNode lif;
  PlifNode plif;

  TwoLayers() {
    second.weight *= 0.15f;
    lif.tau = 2.5;
    lif.surrogate = SigmoidSurrogate{2};
    plif.init_tau = 1.6;
    plif.v_reset.reset();
    plif.surrogate = SigmoidSurrogate{2};
  }
  std::vector<LayerSpec> Specs() const {
    return {{.name = "first", .kind = first},
            {.name = "hidden", .kind = lif},
            {.name = "second", .kind = second},
            {.name = "out", .kind = plif}};
  }
};

}  // namespace spikeserve

#endif  // SPIKESERVE_TESTS_LIB_BACKWARD_TESTING_H_

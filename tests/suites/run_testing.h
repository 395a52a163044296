// What the suites of networks that run as their input comes share.

#ifndef SPIKESERVE_TESTS_SUITES_RUN_TESTING_H_
#define SPIKESERVE_TESTS_SUITES_RUN_TESTING_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "spikeserve/client/network_run.h"
#include "suites/transport.h"

namespace spikeserve::testing {

class RunTest : public TransportTest {
 protected:
  Tensor Random(const Shape& shape) {
    Tensor tensor(DataType::kFloat32, shape);
    std::normal_distribution<float> normal(0.4f, 0.6f);
    for (float& value : tensor.values<float>()) value = normal(random_);
    return tensor;
  }

  // Every kind of layer that keeps state, in training.
  NetworkHandle AllKinds() {
    std::normal_distribution<float> normal(0.2f, 0.5f);
    const RowMatrix<float> weight = RowMatrix<float>::NullaryExpr(17, 5, [&] { return normal(random_); });
    absl::StatusOr<NetworkHandle> network = client().CreateNetwork({
        {.kind = LinearLayer{weight, std::vector<float>(17, 0.1f)}},
        {.name = "lif", .kind = LifNode{{.v_threshold = 0.5f, .v_reset = std::nullopt, .monitor = true}, 3}},
        {.kind = Dropout{0.25, 42}},
        {.kind = LowPassSynapse{4}},
        {.kind = PlifNode{{}, 3, 0.4f}},
        {.name = "out", .kind = IfNode{}},
    });
    if (!network.ok() || !network->SetTraining(true).ok()) {
      ADD_FAILURE() << network.status();
      std::abort();
    }
    return *std::move(network);
  }

  NetworkHandle OneNeuron() {
    absl::StatusOr<NetworkHandle> network = client().CreateNetwork({{.name = "out", .kind = IfNode{}}});
    if (!network.ok()) {
      ADD_FAILURE() << network.status();
      std::abort();
    }
    return *std::move(network);
  }

  std::mt19937 random_{7};
};

// A step of a batch of neurons.
inline RowMatrix<float> Step(int batch, float value) { return RowMatrix<float>::Constant(batch, 1, value); }

// The number of changes that were made.
inline uint64_t Changes(const NetworkHandle& network) {
  const auto got = network.Get();
  EXPECT_TRUE(got.ok()) << got.status();
  return got.ok() ? got->next_step : 0;
}

inline void ExpectSame(const TensorView& a, const TensorView& b) {
  EXPECT_EQ(a.dtype(), b.dtype());
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.byte_size())), 0) << "other elements";
}

inline void ExpectSame(const NetworkState& a, const NetworkState& b) {
  EXPECT_EQ(a.sample_shape, b.sample_shape);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].layer, b.layers[i].layer);
    EXPECT_EQ(a.layers[i].v, b.layers[i].v);
    EXPECT_EQ(a.layers[i].current, b.layers[i].current);
    EXPECT_EQ(a.layers[i].mask, b.layers[i].mask);
    EXPECT_EQ(a.layers[i].masks_drawn, b.layers[i].masks_drawn);
  }
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUITES_RUN_TESTING_H_

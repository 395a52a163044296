// What the tests of layers on planes share: one layer, run and gone back through, and finite differences.

#ifndef SPIKESERVE_TESTS_LIB_PLANE_LAYER_TESTING_H_
#define SPIKESERVE_TESTS_LIB_PLANE_LAYER_TESTING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/network.h"

namespace spikeserve::testing {

// Numbers in an array of shape [n, channels, height, width].
struct Planes {
  int64_t n, channels, height, width;
  std::vector<double> values = std::vector<double>(n * channels * height * width);

  double& at(int64_t i, int64_t c, int64_t y, int64_t x) {
    return values[((i * channels + c) * height + y) * width + x];
  }
  double at(int64_t i, int64_t c, int64_t y, int64_t x) const {
    return values[((i * channels + c) * height + y) * width + x];
  }
  bool has(int64_t y, int64_t x) const { return y >= 0 && y < height && x >= 0 && x < width; }
};

inline Planes ToPlanes(const std::vector<float>& values, const Shape& shape) {
  Planes planes{shape[0], shape[1], shape[2], shape[3]};
  planes.values.assign(values.begin(), values.end());
  return planes;
}

inline std::vector<double> ToDoubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

struct LayerRun {
  Shape shape;
  std::vector<float> output;
  std::vector<float> grad_input;
  std::vector<ParameterTensor> gradients;
  std::vector<LayerSpec> spec;
};

// Runs a network of one layer on `input` of `shape` [T, batch, ...], and back from `grad_output`, drawn where it is
// empty.
inline LayerRun RunLayer(const decltype(LayerSpec::kind)& kind, const std::vector<float>& input, const Shape& shape,
                         bool training = false, Executor& executor = InlineExecutor()) {
  Network network = MakeNetwork({{.name = "layer", .kind = kind}});
  network.SetTraining(training);
  auto forward = network.Forward(input, shape, {.keep_trace = true}, executor);
  EXPECT_TRUE(forward.ok()) << forward.status();
  LayerRun run{.shape = forward->shape, .output = forward->output, .grad_input = {}, .gradients = {}, .spec = {}};
  const std::vector<float> grad_output = RandomNumbers(static_cast<int64_t>(run.output.size()), 99);
  if (!run.output.empty()) {
    auto backward = network.Backward({.grad_output = grad_output, .compute_grad_input = true}, executor);
    EXPECT_TRUE(backward.ok()) << backward.status();
    run.grad_input = backward->grad_input;
  }
  run.gradients = network.Gradients();
  run.spec = network.Spec();
  return run;
}

// The gradients of RunLayer's outputs.
inline std::vector<double> GradOutput(size_t size) { return ToDoubles(RandomNumbers(static_cast<int64_t>(size), 99)); }

inline void ExpectNear(const std::vector<float>& got, const std::vector<double>& wanted, double tolerance,
                       const char* what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  double largest = 1;
  for (const double w : wanted) largest = std::max(largest, std::abs(w));
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], tolerance * largest) << what << " " << i;
}

// Central differences of the sum of f's results, each times its `weights`, with respect to `values`, which f reads.
inline std::vector<double> Differences(std::vector<double>& values, const std::vector<double>& weights,
                                       const std::function<std::vector<double>()>& f) {
  constexpr double kStep = 1e-5;
  std::vector<double> slopes;
  for (double& value : values) {
    const double before = value;
    double sums[2] = {};
    for (int side : {0, 1}) {
      value = before + (side == 0 ? -kStep : kStep);
      const std::vector<double> results = f();
      for (size_t i = 0; i < results.size(); ++i) sums[side] += results[i] * weights[i];
    }
    value = before;
    slopes.push_back((sums[1] - sums[0]) / (2 * kStep));
  }
  return slopes;
}

// Random numbers of which a part is 0.
inline std::vector<float> SparseNumbers(int64_t size, double rate, uint32_t seed) {
  std::vector<float> numbers = RandomNumbers(size, seed);
  const RowMatrix<float> kept = RandomSpikes(1, size, rate, seed + 1);
  for (int64_t i = 0; i < size; ++i) numbers[i] *= kept(0, i);
  return numbers;
}

// Chooses among small numbers.
class Choice {
 public:
  explicit Choice(uint32_t seed) : random_(seed) {}
  int64_t Of(std::initializer_list<int64_t> numbers) { return *(numbers.begin() + random_() % numbers.size()); }
  Extent ExtentOf(std::initializer_list<int64_t> numbers) {
    const int64_t height = Of(numbers);
    return {height, Of(numbers)};
  }

 private:
  std::mt19937 random_;
};

// The error of a network that cannot be, after a check of its field.
inline std::string CreateRefusal(std::vector<LayerSpec> layers, const std::string& field) {
  return Refusal(Network::Create(std::move(layers)).status(), field);
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_LIB_PLANE_LAYER_TESTING_H_

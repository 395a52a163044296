#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/plane_layer_testing.h"
#include "lib/simd_targets.h"

namespace spikeserve {
namespace {

using testing::CreateRefusal;
using ::testing::ElementsAre;
using testing::ExpectNear;
using ::testing::HasSubstr;
using testing::Planes;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The definitions, in double: what each output takes from which elements of its window.
template <class Pool>
struct NaivePool {
  Pool pool;
  Planes x;

  Planes Output() const {
    const Extent stride = pool.stride.value_or(pool.kernel);
    return {x.n, x.channels, (x.height + 2 * pool.padding.height - pool.kernel.height) / stride.height + 1,
            (x.width + 2 * pool.padding.width - pool.kernel.width) / stride.width + 1};
  }
  // Calls term(y, x, factor) for each output and each element that it is the sum of, times the factor.
  template <class Term>
  void ForEachTerm(Planes& y, Planes& to, Term term) const {
    const Extent stride = pool.stride.value_or(pool.kernel);
    for (int64_t n = 0; n < y.n; ++n) {
      for (int64_t c = 0; c < y.channels; ++c) {
        for (int64_t r = 0; r < y.height; ++r) {
          for (int64_t q = 0; q < y.width; ++q) {
            std::vector<std::pair<int64_t, int64_t>> window;
            for (int64_t i = 0; i < pool.kernel.height; ++i) {
              for (int64_t j = 0; j < pool.kernel.width; ++j) {
                const int64_t row = r * stride.height - pool.padding.height + i;
                const int64_t column = q * stride.width - pool.padding.width + j;
                if (x.has(row, column)) window.emplace_back(row, column);
              }
            }
            if constexpr (std::is_same_v<Pool, AvgPool2d>) {
              const int64_t all = pool.kernel.height * pool.kernel.width;
              const double count = static_cast<double>(pool.count_include_pad ? all : window.size());
              for (const auto& [row, column] : window) term(y.at(n, c, r, q), to.at(n, c, row, column), 1 / count);
            } else {
              const auto [row, column] = *std::max_element(window.begin(), window.end(), [&](auto a, auto b) {
                return x.at(n, c, a.first, a.second) < x.at(n, c, b.first, b.second);
              });
              term(y.at(n, c, r, q), to.at(n, c, row, column), 1.0);
            }
          }
        }
      }
    }
  }
  Planes Forward() const {
    Planes y = Output(), from = x;
    ForEachTerm(y, from, [](double& to, double value, double factor) { to += value * factor; });
    return y;
  }
  Planes Backward(const std::vector<double>& grad_output) const {
    Planes grad = Output(), to{x.n, x.channels, x.height, x.width};
    grad.values = grad_output;
    ForEachTerm(grad, to, [](double g, double& sum, double factor) { sum += g * factor; });
    return to;
  }
};

template <class Pool>
class Pool2d : public ::testing::Test {
 public:
  static std::string Field(const std::string& part) {
    return (std::is_same_v<Pool, AvgPool2d> ? "avg_pool2d" : "max_pool2d") + part;
  }
};
using Pools = ::testing::Types<AvgPool2d, MaxPool2d>;
TYPED_TEST_SUITE(Pool2d, Pools);

TYPED_TEST(Pool2d, AndItsGradientAreTheDefinitionsForRandomShapes) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    testing::Choice choice(seed);
    TypeParam pool{.kernel = choice.ExtentOf({1, 2, 3, 5})};
    if (seed % 3 != 0) pool.stride = choice.ExtentOf({1, 2, 3, 7});
    pool.padding = {std::min(choice.Of({0, 1, 2}), pool.kernel.height / 2),
                    std::min(choice.Of({0, 1, 2}), pool.kernel.width / 2)};
    if constexpr (std::is_same_v<TypeParam, AvgPool2d>) pool.count_include_pad = seed % 2 == 0;
    const Shape shape = {choice.Of({1, 2}), choice.Of({1, 3}), choice.Of({1, 2, 5}),
                         pool.kernel.height + choice.Of({0, 1, 2, 13}), pool.kernel.width + choice.Of({0, 1, 7, 31})};
    // Spikes have many equal maxima.
    std::vector<float> input = RandomNumbers(*ElementCount(shape), seed);
    if (seed % 2 == 0) std::transform(input.begin(), input.end(), input.begin(), [](float v) { return v > 1; });
    const testing::LayerRun run = testing::RunLayer(pool, input, shape);
    const NaivePool<TypeParam> naive{pool,
                                     testing::ToPlanes(input, {shape[0] * shape[1], shape[2], shape[3], shape[4]})};
    const Planes wanted = naive.Forward();
    EXPECT_EQ(run.shape, (Shape{shape[0], shape[1], shape[2], wanted.height, wanted.width}));
    ExpectNear(run.output, wanted.values, 1e-6, "output");
    ExpectNear(run.grad_input, naive.Backward(testing::GradOutput(run.output.size())).values, 1e-6, "input");
  }
}

// More outputs in a row than are computed together: elements that several windows share are summed in one order.
TYPED_TEST(Pool2d, OfLongRowsHasTheBitsOfOnePass) {
  constexpr int64_t kLength = 10'000, kKernel = 5, kOutputs = kLength - kKernel + 1;
  const std::vector<float> input = RandomNumbers(kLength, 1);
  const testing::LayerRun run =
      testing::RunLayer(TypeParam{.kernel = {1, kKernel}, .stride = Extent{1, 1}}, input, {1, 1, 1, 1, kLength});
  const auto grad = testing::GradOutput(kOutputs);
  std::vector<float> output(kOutputs), grad_input(kLength);
  if constexpr (std::is_same_v<TypeParam, AvgPool2d>) {
    for (int64_t k = 0; k < kKernel; ++k) {
      for (int64_t o = 0; o < kOutputs; ++o) {
        output[o] += input[o + k];
        grad_input[o + k] += static_cast<float>(grad[o]) / kKernel;
      }
    }
    for (float& sum : output) sum /= kKernel;
  } else {
    for (int64_t o = 0; o < kOutputs; ++o) {
      const auto most = std::max_element(input.begin() + o, input.begin() + o + kKernel);
      output[o] = *most;
      grad_input[most - input.begin()] += static_cast<float>(grad[o]);
    }
  }
  EXPECT_EQ(run.output, output);
  EXPECT_EQ(run.grad_input, grad_input);
}

TYPED_TEST(Pool2d, TheDefinitionsGradientIsItsDifferences) {
  NaivePool<TypeParam> naive{{.kernel = {3, 2}, .stride = Extent{2, 1}, .padding = {1, 1}}, {2, 1, 5, 4}};
  const std::vector<float> input = RandomNumbers(static_cast<int64_t>(naive.x.values.size()), 1);
  naive.x.values = testing::ToDoubles(input);
  const std::vector<double> grad = testing::GradOutput(naive.Output().values.size());
  const std::vector<double> gradient = naive.Backward(grad).values;
  EXPECT_THAT(gradient,
              ::testing::Pointwise(::testing::DoubleNear(1e-7),
                                   testing::Differences(naive.x.values, grad, [&] { return naive.Forward().values; })));
}

TYPED_TEST(Pool2d, DependsNeitherOnThreadsNorOnInstructions) {
  const TypeParam pool{.kernel = {3, 3}, .stride = Extent{2, 2}, .padding = {1, 1}};
  const Shape shape = {3, 2, 5, 17, 19};
  const std::vector<float> input = RandomNumbers(*ElementCount(shape), 2);
  const testing::LayerRun wanted = testing::RunLayer(pool, input, shape);
  testing::ForEachTarget([&] {
    testing::SplitExecutor threads;
    const testing::LayerRun run = testing::RunLayer(pool, input, shape, false, threads);
    EXPECT_TRUE(run.output == wanted.output);
    EXPECT_TRUE(run.grad_input == wanted.grad_input);
  });
}

TYPED_TEST(Pool2d, TakesNoSamplesAndNoChannels) {
  Network network = MakeNetwork({{.name = "", .kind = TypeParam{.kernel = {2, 2}}}});
  EXPECT_EQ(Forward(network, {}, {2, 0, 3, 5, 4}).shape, (Shape{2, 0, 3, 2, 2}));
  network.Reset();
  EXPECT_EQ(Forward(network, {}, {2, 1, 0, 5, 4}).shape, (Shape{2, 1, 0, 2, 2}));
}

TYPED_TEST(Pool2d, OfAnEnormousKernelTakesNoLongerThanItsPlane) {
  const int64_t kernel = (int64_t{1} << 31) - 1;
  const TypeParam pool{.kernel = {kernel, kernel}, .stride = Extent{1, 1}, .padding = {kernel / 2, kernel / 2}};
  const testing::LayerRun run = testing::RunLayer(pool, {1, 2, 3, 4, 5, 6}, {1, 1, 1, 2, 3});
  EXPECT_EQ(run.shape, (Shape{1, 1, 1, 2, 3}));
}

TYPED_TEST(Pool2d, RefusesParametersOutOfRange) {
  const auto refusal = [&](const TypeParam& pool, const std::string& part) {
    return CreateRefusal({{.name = "", .kind = pool}}, "layers[0]." + this->Field(part));
  };
  refusal({.kernel = {0, 2}}, ".kernel");
  refusal({.kernel = {2, int64_t{1} << 31}}, ".kernel");
  refusal({.kernel = {2, 2}, .stride = Extent{2, 0}}, ".stride");
  refusal({.kernel = {2, 2}, .padding = {0, -1}}, ".padding");
  EXPECT_THAT(refusal({.kernel = {2, 3}, .padding = {1, 2}}, ".padding"), HasSubstr("at most half of the kernel"));
}

TYPED_TEST(Pool2d, RefusesLayersAndInputsThatDoNotFitIt) {
  const TypeParam pool{.kernel = {3, 2}, .padding = {0, 1}};
  EXPECT_THAT(CreateRefusal({{.name = "", .kind = RandomLinear(3, 2, 1)}, {.name = "", .kind = pool}},
                            "layers[1]." + this->Field("")),
              HasSubstr("steps of [batch, 2]; need [batch, channels, height, width]"));
  Network network = MakeNetwork({{.name = "", .kind = IfNode{}}, {.name = "pool", .kind = pool}});
  EXPECT_THAT(Refusal(network, RandomNumbers(10, 1), {1, 1, 1, 2, 5}, "input"),
              HasSubstr("[1, 1, 2, 5] at layer \"pool\" (layers[1]." + this->Field(")")));
  Refusal(network, RandomNumbers(10, 1), {1, 2, 5}, "input");
  Refusal(network, {}, {1, 1, 1, 3, 0}, "input");
}

TEST(MaxPool2d, GivesTheGradientToTheFirstOfEqualMaxima) {
  const testing::LayerRun run =
      testing::RunLayer(MaxPool2d{.kernel = {2, 2}}, {1, 1, 0, 0, 1, 1, 0, 0}, {1, 1, 1, 2, 4});
  const std::vector<float> grad = RandomNumbers(2, 99);
  EXPECT_THAT(run.grad_input, ElementsAre(grad[0], 0, grad[1], 0, 0, 0, 0, 0));
}

TEST(MaxPool2d, OfInfinitiesIsTheirMaximum) {
  const testing::LayerRun run = testing::RunLayer(
      MaxPool2d{.kernel = {1, 2}}, {kInfinity, 1, -kInfinity, -kInfinity, -kInfinity, 3}, {1, 1, 1, 1, 6});
  EXPECT_THAT(run.output, ElementsAre(kInfinity, -kInfinity, 3));
  const std::vector<float> grad = RandomNumbers(3, 99);
  EXPECT_THAT(run.grad_input, ElementsAre(grad[0], 0, grad[1], 0, 0, grad[2]));
}

TEST(MaxPool2d, HoldsNanToBeAboveAllNumbers) {
  // NaN is no input, but the synapse makes it of an infinity.
  Network network =
      MakeNetwork({{.name = "", .kind = LowPassSynapse{}}, {.name = "", .kind = MaxPool2d{.kernel = {1, 3}}}});
  const std::vector<float> output =
      Forward(network, {kInfinity, 1, 2, 1, kInfinity, 2, 1, 2, 3}, {1, 1, 1, 1, 9}).output;
  EXPECT_TRUE(std::isnan(output[0]));
  EXPECT_TRUE(std::isnan(output[1]));
  EXPECT_EQ(output[2], 3);
}

TEST(AvgPool2d, OfSpikesIsExact) {
  const testing::LayerRun run =
      testing::RunLayer(AvgPool2d{.kernel = {2, 2}}, {1, 0, 1, 1, 1, 0, 1, 1}, {1, 1, 1, 2, 4});
  EXPECT_THAT(run.output, ElementsAre(0.5f, 1));
}

}  // namespace
}  // namespace spikeserve

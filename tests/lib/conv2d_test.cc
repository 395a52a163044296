#include <cstdint>
#include <limits>
#include <string>
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
using testing::ToDoubles;
using testing::ToPlanes;

// The definition, in double. What is computed for each term y += x w is what `term` does with the three.
struct NaiveConv {
  Planes x, weight;
  std::vector<double> bias;
  Extent stride, padding, dilation;
  int64_t groups;

  int64_t Length(int64_t length, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) const {
    return (length + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
  }
  Planes Output() const {
    return {x.n, weight.n, Length(x.height, weight.height, stride.height, padding.height, dilation.height),
            Length(x.width, weight.width, stride.width, padding.width, dilation.width)};
  }
  template <class Term>
  void ForEachTerm(Planes& y, Planes& in, Planes& w, Term term) const {
    for (int64_t n = 0; n < y.n; ++n) {
      for (int64_t o = 0; o < y.channels; ++o) {
        for (int64_t r = 0; r < y.height; ++r) {
          for (int64_t q = 0; q < y.width; ++q) {
            for (int64_t c = 0; c < w.channels; ++c) {
              for (int64_t i = 0; i < w.height; ++i) {
                for (int64_t j = 0; j < w.width; ++j) {
                  const int64_t row = r * stride.height - padding.height + i * dilation.height;
                  const int64_t column = q * stride.width - padding.width + j * dilation.width;
                  if (!in.has(row, column)) continue;
                  const int64_t channel = o / (w.n / groups) * w.channels + c;
                  term(y.at(n, o, r, q), in.at(n, channel, row, column), w.at(o, c, i, j));
                }
              }
            }
          }
        }
      }
    }
  }
  Planes Forward() {
    Planes y = Output();
    for (size_t i = 0; i < y.values.size() && !bias.empty(); ++i) {
      y.values[i] = bias[i / (y.height * y.width) % y.channels];
    }
    ForEachTerm(y, x, weight, [](double& to, double a, double w) { to += a * w; });
    return y;
  }
  // The gradients with respect to x, weight and bias.
  struct Gradients {
    Planes x, weight;
    std::vector<double> bias;
  };
  Gradients Backward(const std::vector<double>& grad_output) {
    Planes grad = Output();
    grad.values = grad_output;
    Gradients gradients{x, weight, std::vector<double>(weight.n)};
    Planes grad_x{x.n, x.channels, x.height, x.width};
    Planes grad_weight{weight.n, weight.channels, weight.height, weight.width};
    ForEachTerm(grad, grad_x, weight, [](double g, double& to, double w) { to += g * w; });
    ForEachTerm(grad, x, grad_weight, [](double g, double a, double& to) { to += g * a; });
    for (size_t i = 0; i < grad_output.size(); ++i) {
      gradients.bias[i / (grad.height * grad.width) % grad.channels] += grad_output[i];
    }
    gradients.x = grad_x;
    gradients.weight = grad_weight;
    return gradients;
  }
};

struct Case {
  Conv2d conv;
  // Of the input.
  Shape shape;

  NaiveConv Naive(const std::vector<float>& input) const {
    return {.x = ToPlanes(input, {shape[0] * shape[1], shape[2], shape[3], shape[4]}),
            .weight = ToPlanes(conv.weight, conv.weight_shape),
            .bias = ToDoubles(conv.bias),
            .stride = conv.stride,
            .padding = conv.padding,
            .dilation = conv.dilation,
            .groups = conv.groups};
  }
};

Case MakeCase(Shape weight_shape, Shape shape, int64_t groups = 1, bool bias = true) {
  Case made;
  made.conv.weight = RandomNumbers(*ElementCount(weight_shape), 5);
  if (bias) made.conv.bias = RandomNumbers(weight_shape[0], 6);
  made.conv.weight_shape = std::move(weight_shape);
  made.conv.groups = groups;
  made.shape = std::move(shape);
  return made;
}

Case RandomCase(uint32_t seed) {
  testing::Choice choice(seed);
  const int64_t groups = choice.Of({1, 1, 2, 3});
  const int64_t group_in = choice.Of({1, 2, 3, 5});
  const int64_t group_out = choice.Of({1, 2, 7, 16, 17, 33, 67});
  const Extent kernel = choice.ExtentOf({1, 2, 3, 5});
  Case made = MakeCase({groups * group_out, group_in, kernel.height, kernel.width}, {}, groups, choice.Of({0, 1}) == 1);
  made.conv.stride = choice.ExtentOf({1, 1, 2, 3});
  made.conv.padding = choice.ExtentOf({0, 1, 2, 7});
  made.conv.dilation = choice.ExtentOf({1, 1, 2, 3});
  // Planes into which the kernel fits.
  const int64_t height = made.conv.dilation.height * (kernel.height - 1) + choice.Of({1, 2, 7, 13});
  const int64_t width = made.conv.dilation.width * (kernel.width - 1) + choice.Of({1, 2, 7, 31});
  made.shape = {choice.Of({1, 2, 3}), choice.Of({1, 2, 5}), groups * group_in, height, width};
  return made;
}

std::vector<float> Input(const Case& c, double rate, uint32_t seed) {
  return testing::SparseNumbers(*ElementCount(c.shape), rate, seed);
}

const ParameterTensor& Gradient(const testing::LayerRun& run, size_t index) { return run.gradients.at(index); }

// Output and gradients of the layer, and their shapes.
void ExpectTheDefinitions(const Case& c, const std::vector<float>& input, double tolerance = 2e-6) {
  const testing::LayerRun run = testing::RunLayer(c.conv, input, c.shape);
  NaiveConv naive = c.Naive(input);
  const Planes wanted = naive.Forward();
  EXPECT_EQ(run.shape, (Shape{c.shape[0], c.shape[1], wanted.channels, wanted.height, wanted.width}));
  ExpectNear(run.output, wanted.values, tolerance, "output");
  const NaiveConv::Gradients gradients = naive.Backward(testing::GradOutput(run.output.size()));
  ExpectNear(run.grad_input, gradients.x.values, tolerance, "input");
  EXPECT_EQ(Gradient(run, 0).shape, c.conv.weight_shape);
  ExpectNear(Gradient(run, 0).values, gradients.weight.values, tolerance, "weight");
  ASSERT_EQ(run.gradients.size(), c.conv.bias.empty() ? 1u : 2u);
  if (!c.conv.bias.empty()) ExpectNear(Gradient(run, 1).values, gradients.bias, tolerance, "bias");
}

TEST(Conv2d, AndItsGradientsAreTheDefinitionsForRandomShapes) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = RandomCase(seed);
    const std::vector<float> input = Input(c, seed % 3 == 0 ? 1.0 : 0.2, seed);
    ExpectTheDefinitions(c, input);
  }
}

TEST(Conv2d, TheDefinitionsGradientsAreItsDifferences) {
  Case c = MakeCase({4, 2, 3, 2}, {1, 2, 4, 5, 4}, /*groups=*/2);
  c.conv.stride = {2, 1};
  c.conv.padding = {1, 2};
  c.conv.dilation = {1, 2};
  NaiveConv naive = c.Naive(Input(c, 0.5, 1));
  const std::vector<double> grad_output = testing::GradOutput(naive.Output().values.size());
  const NaiveConv::Gradients gradients = naive.Backward(grad_output);
  const auto forward = [&] { return naive.Forward().values; };
  const auto expect = [&](const std::vector<double>& got, std::vector<double>& values) {
    EXPECT_THAT(got,
                ::testing::Pointwise(::testing::DoubleNear(1e-7), testing::Differences(values, grad_output, forward)));
  };
  expect(gradients.x.values, naive.x.values);
  expect(gradients.weight.values, naive.weight.values);
  expect(gradients.bias, naive.bias);
}

TEST(Conv2d, OfSpikesAndWholeNumbersIsExact) {
  Case c = MakeCase({70, 3, 3, 3}, {3, 2, 3, 17, 19});
  for (float& w : c.conv.weight) w = std::round(w * 100);
  for (float& b : c.conv.bias) b = std::round(b * 100);
  c.conv.padding = {1, 1};
  const RowMatrix<float> spikes = testing::RandomSpikes(1, *ElementCount(c.shape), 0.1, 3);
  const std::vector<float> input(spikes.data(), spikes.data() + spikes.size());
  const testing::LayerRun run = testing::RunLayer(c.conv, input, c.shape);
  EXPECT_TRUE(ToDoubles(run.output) == c.Naive(input).Forward().values);
}

TEST(Conv2d, OfPlanesLargerThanATileIsTheDefinitions) {
  for (const Shape& shape : {Shape{1, 1, 2, 3, 700}, Shape{1, 1, 2, 300, 5}, Shape{2, 1, 2, 40, 300}}) {
    Case c = MakeCase({20, 2, 3, 3}, shape);
    c.conv.padding = {1, 1};
    const std::vector<float> input = Input(c, 0.1, 7);
    ExpectTheDefinitions(c, input);
  }
}

// Of such planes not all that is known of an axis is kept at a time.
TEST(Conv2d, OfVeryLongPlanesAndWideDilationIsTheDefinitions) {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{2, 80'000}, {80'000, 2}}) {
    for (const int64_t dilation : {1, 34'000}) {
      Case c = MakeCase({3, 1, height > width ? 3 : 1, height > width ? 1 : 3}, {1, 1, 1, height, width});
      c.conv.dilation = {dilation, dilation};
      c.conv.padding = {height > width ? 1 : 0, height > width ? 0 : 1};
      // Sums of 80,000 products.
      for (const double rate : {0.1, 1.0}) ExpectTheDefinitions(c, Input(c, rate, 7), 1e-5);
    }
  }
}

TEST(Conv2d, DependsNeitherOnThreadsNorOnInstructions) {
  for (const Case& c : {MakeCase({37, 5, 3, 3}, {4, 5, 5, 11, 13}), MakeCase({6, 1, 5, 1}, {2, 3, 3, 9, 2}, 3)}) {
    for (const double rate : {0.15, 1.0}) {
      const std::vector<float> input = Input(c, rate, 4);
      const testing::LayerRun wanted = testing::RunLayer(c.conv, input, c.shape);
      testing::ForEachTarget([&] {
        testing::SplitExecutor threads;
        const testing::LayerRun run = testing::RunLayer(c.conv, input, c.shape, false, threads);
        EXPECT_TRUE(run.output == wanted.output);
        EXPECT_TRUE(run.grad_input == wanted.grad_input);
        for (size_t p = 0; p < 2; ++p) EXPECT_TRUE(Gradient(run, p).values == Gradient(wanted, p).values);
      });
    }
  }
}

TEST(Conv2d, IsTheSameWhetherElementsAreScatteredOrLaidOut) {
  // As many channels again, and twice, of zeros make few elements of many; the same terms are added in the same order.
  constexpr int64_t kChannels = 5, kOut = 7, kHeight = 9, kWidth = 8;
  for (const Extent stride : {Extent{1, 1}, Extent{2, 3}}) {
    Case many = MakeCase({kOut, kChannels, 3, 3}, {1, 1, kChannels, kHeight, kWidth});
    many.conv.stride = stride;
    many.conv.padding = {1, 2};
    Case few = MakeCase({3 * kOut, 3 * kChannels, 3, 3}, {1, 1, 3 * kChannels, kHeight, kWidth});
    few.conv.stride = stride;
    few.conv.padding = {1, 2};
    for (int64_t o = 0; o < kOut; ++o) {
      std::copy_n(many.conv.weight.begin() + o * kChannels * 9, kChannels * 9,
                  few.conv.weight.begin() + o * 3 * kChannels * 9);
    }
    const std::vector<float> input = RandomNumbers(kChannels * kHeight * kWidth, 3);
    std::vector<float> with_zeros = input;
    with_zeros.resize(3 * input.size());

    Network a = MakeNetwork({{.name = "", .kind = many.conv}}), b = MakeNetwork({{.name = "", .kind = few.conv}});
    const auto laid_out = a.Forward(input, many.shape, {.keep_trace = true});
    const auto scattered = b.Forward(with_zeros, few.shape, {.keep_trace = true});
    ASSERT_TRUE(laid_out.ok() && scattered.ok());
    EXPECT_TRUE(std::equal(laid_out->output.begin(), laid_out->output.end(), scattered->output.begin()));

    const std::vector<float> grad = RandomNumbers(static_cast<int64_t>(laid_out->output.size()), 4);
    std::vector<float> grad_with_zeros = grad;
    grad_with_zeros.resize(3 * grad.size());
    const auto back = a.Backward({.grad_output = grad, .compute_grad_input = true});
    const auto scattered_back = b.Backward({.grad_output = grad_with_zeros, .compute_grad_input = true});
    ASSERT_TRUE(back.ok() && scattered_back.ok());
    EXPECT_TRUE(std::equal(back->grad_input.begin(), back->grad_input.end(), scattered_back->grad_input.begin()));
  }
}

TEST(Conv2d, OfAPictureThatIsShownForSomeStepsIsTheDefinitions) {
  const Case c = MakeCase({6, 2, 3, 3}, {5, 2, 2, 6, 7});
  const std::vector<float> picture = RandomNumbers(2 * 2 * 6 * 7, 3);
  std::vector<float> input;
  for (int t = 0; t < 5; ++t) input.insert(input.end(), picture.begin(), picture.end());
  ExpectTheDefinitions(c, input);
}

TEST(Conv2d, OfAStepAndASampleIsThatOfAll) {
  const Case c = MakeCase({9, 2, 3, 3}, {3, 4, 2, 7, 6});
  const std::vector<float> input = Input(c, 0.3, 2);
  Network all = MakeNetwork({{.name = "", .kind = c.conv}});
  const std::vector<float> wanted = Forward(all, input, c.shape).output;
  for (int64_t i = 0; i < 12; ++i) {
    Network one = MakeNetwork({{.name = "", .kind = c.conv}});
    const std::vector<float> output =
        Forward(one, absl::MakeConstSpan(input).subspan(i * 84, 84), {1, 1, 2, 7, 6}).output;
    EXPECT_TRUE(std::equal(output.begin(), output.end(), wanted.begin() + i * static_cast<int64_t>(output.size())));
  }
}

TEST(Conv2d, TakesNoSamples) {
  const Case c = MakeCase({4, 3, 3, 3}, {2, 0, 3, 8, 9});
  Network network = MakeNetwork({{.name = "", .kind = c.conv}});
  EXPECT_EQ(Forward(network, {}, c.shape).shape, (Shape{2, 0, 4, 6, 7}));
  network.Reset();
  EXPECT_EQ(Forward(network, {}, {0, 2, 3, 8, 9}).shape, (Shape{0, 2, 4, 6, 7}));
}

TEST(Conv2d, IsGivenBackAsItCame) {
  Case c = MakeCase({6, 2, 2, 3}, {}, 2);
  c.conv.stride = {2, 1};
  const auto specs = MakeNetwork({{.name = "", .kind = c.conv}}).Spec();
  const auto& conv = std::get<Conv2d>(specs[0].kind);
  EXPECT_EQ(conv.weight_shape, c.conv.weight_shape);
  EXPECT_TRUE(conv.weight == c.conv.weight && conv.bias == c.conv.bias);
  EXPECT_EQ(conv.stride.height, 2);
  EXPECT_EQ(conv.groups, 2);
}

TEST(Conv2d, LearnsAgainstItsGradients) {
  const Case c = MakeCase({3, 2, 2, 2}, {1, 2, 2, 4, 4});
  Network network = MakeNetwork({{.name = "c", .kind = c.conv}});
  ASSERT_TRUE(network.Forward(Input(c, 1, 3), c.shape, {.keep_trace = true}).ok());
  const std::vector<float> grad = RandomNumbers(2 * 3 * 9, 1);
  ASSERT_TRUE(network.Backward({.grad_output = grad}).ok());
  const std::vector<ParameterTensor> gradients = network.Gradients();
  ASSERT_TRUE(network.ApplyGradients(Sgd{.learning_rate = 0.5}).ok());
  const auto learnt = std::get<Conv2d>(network.Spec()[0].kind);
  for (size_t i = 0; i < learnt.weight.size(); ++i) {
    EXPECT_FLOAT_EQ(learnt.weight[i], c.conv.weight[i] - 0.5f * gradients[0].values[i]);
  }
}

TEST(Conv2d, RefusesParametersOutOfRange) {
  const Conv2d good = MakeCase({4, 3, 2, 2}, {}).conv;
  const auto refusal = [&](auto change, const std::string& field) {
    Conv2d conv = good;
    change(conv);
    return CreateRefusal({{.name = "", .kind = Flatten{.start_dim = 4}}, {.name = "", .kind = conv}},
                         "layers[1].conv2d" + field);
  };
  EXPECT_THAT(refusal([](Conv2d& c) { c.weight_shape = {4, 3, 4}; }, ".weight"), HasSubstr("[4, 3, 4] of 48 elements"));
  refusal([](Conv2d& c) { c.weight.pop_back(); }, ".weight");
  // Each thread sums a kernel's gradient by itself.
  EXPECT_THAT(refusal(
                  [](Conv2d& c) {
                    c.weight_shape = {1, 1, 1024, 1025}, c.weight.assign(1024 * 1025, 1.0f);
                  },
                  ".weight"),
              HasSubstr("at most 1,048,576 positions"));
  refusal([](Conv2d& c) { c.weight_shape = {4, 0, 2, 2}, c.weight.clear(); }, ".weight");
  refusal([](Conv2d& c) { c.weight[3] = std::numeric_limits<float>::infinity(); }, ".weight");
  refusal([](Conv2d& c) { c.bias.pop_back(); }, ".bias");
  refusal([](Conv2d& c) { c.bias[0] = std::numeric_limits<float>::quiet_NaN(); }, ".bias");
  refusal([](Conv2d& c) { c.stride = {1, 0}; }, ".stride");
  EXPECT_THAT(refusal([](Conv2d& c) { c.padding = {-1, 0}; }, ".padding"), HasSubstr("need [height, width] from 0"));
  refusal([](Conv2d& c) { c.dilation = {int64_t{1} << 31, 1}; }, ".dilation");
  refusal([](Conv2d& c) { c.groups = 0; }, ".groups");
  EXPECT_THAT(refusal([](Conv2d& c) { c.groups = 3; }, ".groups"), HasSubstr("a divisor of 4"));
}

TEST(Conv2d, RefusesLayersThatDoNotFitIt) {
  const Conv2d conv = MakeCase({4, 3, 2, 2}, {}).conv;
  EXPECT_THAT(
      CreateRefusal({{.name = "", .kind = RandomLinear(4, 6, 1)}, {.name = "", .kind = conv}}, "layers[1].conv2d"),
      HasSubstr("steps of [batch, 6]"));
  EXPECT_THAT(CreateRefusal({{.name = "", .kind = conv}, {.name = "", .kind = conv}}, "layers[1].conv2d.weight"),
              HasSubstr("the 4 channels"));
  EXPECT_THAT(
      CreateRefusal({{.name = "", .kind = conv}, {.name = "", .kind = RandomLinear(4, 6, 1)}}, "layers[1].linear"),
      HasSubstr("steps of [batch, 4, *, *]"));
}

TEST(Conv2d, RefusesInputsThatDoNotFitItAndSaysWhichLayer) {
  const Conv2d conv = MakeCase({4, 3, 2, 5}, {}).conv;
  Network network = MakeNetwork({{.name = "", .kind = IfNode{}}, {.name = "conv", .kind = conv}});
  EXPECT_THAT(Refusal(network, RandomNumbers(2 * 3 * 1 * 5, 1), {1, 2, 3, 1, 5}, "input"),
              HasSubstr("[2, 3, 1, 5] at layer \"conv\" (layers[1].conv2d); need [batch, 3, height, width] of "
                        "height >= 2 and width >= 5"));
  Refusal(network, RandomNumbers(2 * 2 * 5 * 5, 1), {1, 2, 2, 5, 5}, "input");
  Refusal(network, RandomNumbers(3 * 5 * 5, 1), {1, 3, 5, 5}, "input");
}

TEST(Conv2d, RefusesResultsTooLargeForMemory) {
  Conv2d conv = MakeCase({4, 3, 1, 1}, {}).conv;
  conv.padding = {(int64_t{1} << 31) - 1, (int64_t{1} << 31) - 1};
  Network network = MakeNetwork({{.name = "", .kind = conv}});
  EXPECT_THAT(Refusal(network, RandomNumbers(3, 1), {1, 1, 3, 1, 1}, "input"), HasSubstr("fewer than 2^63 bytes"));
}

}  // namespace
}  // namespace spikeserve

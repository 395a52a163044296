// The layers that do not spike.

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/network.h"
#include "support/golden.h"

namespace spikeserve {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

TEST(LinearLayer, IsAProductAndABias) {
  const LinearLayer linear = RandomLinear(7, 5, 3);
  const std::vector<float> x = RandomNumbers(2 * 3 * 7, 4);
  const RowMatrix<double> wanted =
      (Eigen::Map<const RowMatrix<float>>(x.data(), 6, 7).cast<double>() * linear.weight.cast<double>().transpose())
          .rowwise() +
      Eigen::Map<const Eigen::RowVectorXf>(linear.bias.data(), 5).cast<double>();
  Network network = MakeNetwork({{.name = "", .kind = linear}});
  const ForwardResult result = Forward(network, x, {2, 3, 7});
  EXPECT_EQ(result.shape, (Shape{2, 3, 5}));
  EXPECT_FALSE(result.output_is_spikes);
  EXPECT_TRUE((Eigen::Map<const RowMatrix<float>>(result.output.data(), 6, 5).cast<double>() - wanted).isZero(1e-5));
}

TEST(LinearLayer, WithoutABiasIsAProduct) {
  Network network =
      MakeNetwork({{.name = "", .kind = LinearLayer{.weight = RowMatrix<float>{{1, 2}, {3, 4}}, .bias = {}}}});
  EXPECT_THAT(Forward(network, {1, 10}, {1, 1, 2}).output, ElementsAre(21, 43));
}

TEST(LinearLayer, NeedsBatchAndItsFeatures) {
  Network network = MakeNetwork({{.name = "", .kind = RandomLinear(6, 9, 1)}});
  EXPECT_THAT(Refusal(network, RandomNumbers(7, 1), {1, 1, 7}, "input"), HasSubstr("need [batch, 6]"));
  Refusal(network, RandomNumbers(6, 1), {1, 6}, "input");
  Refusal(network, RandomNumbers(12, 1), {1, 1, 6, 2}, "input");
}

TEST(Flatten, MakesOneDimensionOfSeveral) {
  const std::vector<float> input = RandomNumbers(2 * 3 * 4 * 5 * 6, 1);
  const auto shape_of = [&](int64_t start_dim, int64_t end_dim) {
    Network network = MakeNetwork({{.name = "", .kind = Flatten{start_dim, end_dim}}});
    const ForwardResult result = Forward(network, input, {2, 3, 4, 5, 6});
    EXPECT_TRUE(result.output == input);
    return result.shape;
  };
  EXPECT_EQ(shape_of(1, -1), (Shape{2, 3, 120}));
  EXPECT_EQ(shape_of(1, 2), (Shape{2, 3, 20, 6}));
  EXPECT_EQ(shape_of(-2, 3), (Shape{2, 3, 4, 30}));
  EXPECT_EQ(shape_of(-3, -2), (Shape{2, 3, 20, 6}));
  EXPECT_EQ(shape_of(2, 2), (Shape{2, 3, 4, 5, 6}));
}

TEST(Flatten, GivesTheGradientTheShapeOfItsInput) {
  Network network = MakeNetwork({{.name = "", .kind = Flatten{}}});
  const std::vector<float> input = RandomNumbers(2 * 3 * 2 * 2, 1), grad = RandomNumbers(2 * 3 * 2 * 2, 2);
  ASSERT_TRUE(network.Forward(input, {2, 3, 2, 2}, {.keep_trace = true}).ok());
  const auto result = network.Backward({.grad_output = grad, .compute_grad_input = true});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->shape, (Shape{2, 3, 2, 2}));
  EXPECT_TRUE(result->grad_input == grad);
}

TEST(Flatten, LetsALinearLayerFollowPlanes) {
  Network network = MakeNetwork({{.name = "", .kind = Flatten{}}, {.name = "", .kind = RandomLinear(12, 2, 1)}});
  EXPECT_EQ(Forward(network, RandomNumbers(2 * 12, 1), {1, 2, 3, 2, 2}).shape, (Shape{1, 2, 2}));
}

TEST(Flatten, RefusesDimensionsThatCannotBe) {
  const auto refusal = [](int64_t start_dim, int64_t end_dim, std::string_view field) {
    const auto network = Network::Create({{.name = "", .kind = Flatten{start_dim, end_dim}}});
    EXPECT_EQ(FieldOf(network.status()), field) << network.status();
  };
  refusal(0, -1, "layers[0].flatten.start_dim");
  refusal(1, 0, "layers[0].flatten.end_dim");
  refusal(3, 2, "layers[0].flatten.end_dim");
  refusal(-1, -2, "layers[0].flatten.end_dim");
  const auto behind =
      Network::Create({{.name = "", .kind = RandomLinear(2, 3, 1)}, {.name = "", .kind = Flatten{2, -1}}});
  EXPECT_EQ(FieldOf(behind.status()), "layers[1].flatten") << behind.status();
}

TEST(Flatten, RefusesInputsWithoutItsDimensions) {
  Network network = MakeNetwork({{.name = "", .kind = Flatten{2, -1}}});
  EXPECT_THAT(Refusal(network, RandomNumbers(6, 1), {1, 2, 3}, "input"),
              HasSubstr("[2, 3] at layer \"0\" (layers[0].flatten)"));
  Network batch = MakeNetwork({{.name = "", .kind = Flatten{-2, -1}}});
  Refusal(batch, RandomNumbers(6, 1), {1, 2, 3}, "input");
  // Lengths that would be too large, of no elements.
  Network all = MakeNetwork({{.name = "", .kind = Flatten{}}});
  Refusal(all, {}, {1, 0, int64_t{1} << 40, int64_t{1} << 40}, "input");
}

TEST(LowPassSynapse, IsTheReferences) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("low_pass_synapse")) {
    SCOPED_TRACE(golden.name);
    Network network = MakeNetwork({{.name = "", .kind = LowPassSynapse{.tau = golden.params.at("tau")}}});
    const Tensor& spikes = golden.inputs.at("in_spikes");
    const ForwardResult result = Forward(network, spikes.values<float>(), spikes.shape());
    EXPECT_FALSE(result.output_is_spikes);
    EXPECT_THAT(result.output, ElementsAreArray(golden.outputs.at("out_i").values<float>()));
  }
}

TEST(Dropout, InEvaluationIsTheIdentity) {
  Network network = MakeNetwork({{.name = "", .kind = Dropout{.p = 0.9}}});
  const std::vector<float> input = RandomNumbers(60, 1);
  EXPECT_EQ(Forward(network, input, {2, 30}).output, input);
}

TEST(Dropout, KeepsOneMaskFromResetToReset) {
  constexpr int64_t kSize = 10000;
  Network network = MakeNetwork({{.name = "", .kind = Dropout{.p = 0.2, .seed = 3}}});
  network.SetTraining(true);
  const std::vector<float> ones(2 * kSize, 1.0f);
  const auto step = [&] { return Forward(network, absl::MakeSpan(ones).first(kSize), {1, 10, kSize / 10}).output; };
  const std::vector<float> mask = step();
  EXPECT_THAT(mask, Each(::testing::AnyOf(0.0f, 1.25f)));
  // Four standard deviations.
  EXPECT_NEAR(static_cast<double>(std::count(mask.begin(), mask.end(), 0.0f)), 0.2 * kSize, 160);
  EXPECT_TRUE(step() == mask);
  // Evaluation between does not change it.
  network.SetTraining(false);
  EXPECT_THAT(step(), Each(1.0f));
  network.SetTraining(true);
  const ForwardResult two = Forward(network, ones, {2, 10, kSize / 10});
  EXPECT_TRUE(std::equal(mask.begin(), mask.end(), two.output.begin()));
  EXPECT_TRUE(std::equal(mask.begin(), mask.end(), two.output.begin() + kSize));

  network.Reset();
  const std::vector<float> next = step();
  int64_t both = 0;
  for (int64_t n = 0; n < kSize; ++n) both += mask[n] == 0 && next[n] == 0;
  EXPECT_NEAR(static_cast<double>(both), 0.04 * kSize, 80);
}

TEST(Dropout, TheSeedSaysTheMasks) {
  const auto masks = [](uint64_t seed) {
    Network network = MakeNetwork({{.name = "", .kind = Dropout{.seed = seed}}});
    network.SetTraining(true);
    std::vector<float> all;
    for (int i = 0; i < 3; ++i) {
      const std::vector<float> mask = Forward(network, std::vector<float>(100, 1.0f), {1, 100}).output;
      all.insert(all.end(), mask.begin(), mask.end());
      network.Reset();
    }
    return all;
  };
  EXPECT_TRUE(masks(5) == masks(5));
  EXPECT_FALSE(masks(5) == masks(6));
}

TEST(Dropout, MasksAreTheSameOnEveryPlatform) {
  Network network = MakeNetwork({{.name = "", .kind = Dropout{.p = 0.5, .seed = 1}}});
  network.SetTraining(true);
  EXPECT_THAT(Forward(network, std::vector<float>(16, 1.0f), {1, 16}).output,
              ElementsAre(2, 2, 0, 2, 0, 2, 2, 0, 0, 0, 0, 0, 2, 0, 2, 0));
}

}  // namespace
}  // namespace spikeserve

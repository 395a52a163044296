#include "train/parameters.h"

#include <cmath>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spikeserve::train {
namespace {

using ::testing::ElementsAre;

const LinearLayer& Linear(const LayerSpec& layer) { return std::get<LinearLayer>(layer.kind); }

TEST(Parameters, AreUniformWithinOneOverTheRootOfTheInputs) {
  const std::vector<LayerSpec> layers = FullyConnected({.inputs = 400, .hidden = {300}, .outputs = 2, .seed = 5});
  const RowMatrix<float>& weight = Linear(layers[0]).weight;
  const float bound = 1 / std::sqrt(400.0f);
  EXPECT_LE(weight.cwiseAbs().maxCoeff(), bound);
  EXPECT_GT(weight.maxCoeff(), 0.999f * bound);
  EXPECT_LT(weight.minCoeff(), -0.999f * bound);
  // The standard deviation of the mean of 120,000 numbers is 1.7e-3 bounds; that of their squares' 8.6e-4.
  EXPECT_NEAR(weight.cast<double>().mean(), 0, 5 * 1.7e-3 * bound);
  EXPECT_NEAR(weight.cast<double>().array().square().mean() / (bound * bound), 1.0 / 3, 5 * 8.6e-4);
  for (const float bias : Linear(layers[2]).bias) EXPECT_LE(std::abs(bias), 1 / std::sqrt(300.0f));
}

TEST(Parameters, FullyConnectedNetworksHaveTheLayersThatAreAskedFor) {
  LifNode neuron;
  neuron.tau = 3;
  const std::vector<LayerSpec> layers =
      FullyConnected({.inputs = 5, .hidden = {4, 3}, .outputs = 2, .neuron = neuron, .seed = 1});
  std::vector<std::string> names;
  for (const LayerSpec& layer : layers) names.push_back(layer.name);
  EXPECT_THAT(names, ElementsAre("fc1", "lif1", "fc2", "lif2", "fc3", "lif3"));
  EXPECT_EQ(Linear(layers[0]).weight.rows(), 4);
  EXPECT_EQ(Linear(layers[0]).weight.cols(), 5);
  EXPECT_EQ(Linear(layers[4]).weight.rows(), 2);
  EXPECT_EQ(Linear(layers[4]).weight.cols(), 3);
  EXPECT_EQ(Linear(layers[4]).bias.size(), 2u);
  EXPECT_EQ(std::get<LifNode>(layers[5].kind).tau, 3);
}

TEST(Parameters, DependOnTheSeedTheLayerAndTheParameterAlone) {
  const auto draw = [](uint64_t seed) {
    return FullyConnected({.inputs = 7, .hidden = {7}, .outputs = 7, .seed = seed});
  };
  const std::vector<LayerSpec> one = draw(1), again = draw(1), two = draw(2);
  EXPECT_EQ(Linear(one[0]).weight, Linear(again[0]).weight);
  EXPECT_EQ(Linear(one[0]).bias, Linear(again[0]).bias);
  EXPECT_NE(Linear(one[0]).weight, Linear(two[0]).weight);
  EXPECT_NE(Linear(one[0]).weight, Linear(one[2]).weight);

  // The bias alone is the same as after the weight.
  std::vector<LayerSpec> layers = {{"fc", LinearLayer{.weight = RowMatrix<float>::Zero(7, 7), .bias = {0, 0}}}};
  ASSERT_TRUE(DrawParameter(absl::MakeSpan(layers), 0, "bias", 1).ok());
  EXPECT_EQ(Linear(layers[0]).bias[0], Linear(one[0]).bias[0]);
  EXPECT_TRUE(Linear(layers[0]).weight.isZero());
}

TEST(Parameters, ThoseOfOtherLayersAreNotDrawn) {
  std::vector<LayerSpec> layers = {{"fc", LinearLayer{.weight = RowMatrix<float>::Zero(2, 2)}}, {"lif", LifNode{}}};
  EXPECT_FALSE(DrawParameter(absl::MakeSpan(layers), 0, "bias", 1).ok());
  EXPECT_FALSE(DrawParameter(absl::MakeSpan(layers), 0, "v_threshold_tensor", 1).ok());
  EXPECT_FALSE(DrawParameter(absl::MakeSpan(layers), 1, "weight", 1).ok());
}

}  // namespace
}  // namespace spikeserve::train

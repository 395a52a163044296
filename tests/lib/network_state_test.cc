// What a network is beside its layers: taken out, and put into another one. tests/suites/checkpoint_suite.cc has how it
// goes on.

#include "spikeserve/compute/network_state.h"

#include <limits>
#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

using ::testing::SizeIs;

std::vector<LayerSpec> Layers() {
  return {{.name = "fc", .kind = RandomLinear(3, 4, 1)},
          {.name = "out", .kind = PlifNode()},
          {.name = "mask", .kind = Dropout{0.5, 9}}};
}

// The masks of dropout that the next steps draw show in its output.
std::vector<float> NextMasked(Network& network) {
  network.SetTraining(true);
  network.Reset();
  return Forward(network, RandomNumbers(6 * 20 * 3, 2), {6, 20, 3}).output;
}

TEST(NetworkState, OfAUsedNetworkMakesAnotherUsedOneGoOnAlike) {
  Network one = MakeNetwork(Layers()), other = MakeNetwork(Layers());
  NextMasked(one);
  for (int i = 0; i < 3; ++i) NextMasked(other);
  ASSERT_TRUE(other.SetState(one.State()).ok());
  EXPECT_EQ(NextMasked(other), NextMasked(one));
}

TEST(NetworkState, OfANewNetworkSetsBackAlsoTheMasksThatWereDrawn) {
  Network fresh = MakeNetwork(Layers()), used = MakeNetwork(Layers());
  for (int i = 0; i < 3; ++i) NextMasked(used);
  ASSERT_TRUE(used.SetState(fresh.State()).ok());
  EXPECT_EQ(NextMasked(used), NextMasked(fresh));
}

TEST(NetworkState, ThatIsRefusedChangesNothing) {
  Network network = MakeNetwork(Layers());
  NextMasked(network);
  const NetworkState before = network.State();
  NetworkState wrong = before;
  ASSERT_THAT(wrong.layers, SizeIs(2));
  wrong.layers[0].v[0] += 1;
  wrong.layers[1].current = {1};
  EXPECT_FALSE(network.SetState(wrong).ok());
  const NetworkState after = network.State();
  EXPECT_EQ(after.sample_shape, before.sample_shape);
  ASSERT_THAT(after.layers, SizeIs(2));
  EXPECT_EQ(after.layers[0].v, before.layers[0].v);
  EXPECT_EQ(after.layers[1].mask, before.layers[1].mask);
  EXPECT_EQ(after.layers[1].masks_drawn, before.layers[1].masks_drawn);
}

TEST(NetworkState, OfTheOptimizerThatIsRefusedChangesNothing) {
  Network network = MakeNetwork(Layers());
  ASSERT_TRUE(network.ApplyGradients(Adam{}).ok());
  OptimizerState wrong = network.GetOptimizerState();
  wrong.steps = std::numeric_limits<int64_t>::max();
  EXPECT_FALSE(network.SetOptimizerState(wrong).ok());
  EXPECT_EQ(network.GetOptimizerState().steps, 1);
  wrong.steps = 7;
  wrong.optimizer = Sgd{};  // Which has no second moments.
  EXPECT_FALSE(network.SetOptimizerState(wrong).ok());
  EXPECT_EQ(network.GetOptimizerState().steps, 1);
  wrong.second_moments.clear();
  EXPECT_TRUE(network.SetOptimizerState(wrong).ok());
  EXPECT_EQ(network.GetOptimizerState().steps, 7);
}

TEST(NetworkState, TheShapesOfATraceAreThoseOfItsStepsAndLayers) {
  Network network = MakeNetwork(Layers());
  EXPECT_EQ(network.TracedShape(), std::nullopt);
  const std::vector<float> input = RandomNumbers(5 * 2 * 3, 1);
  ASSERT_TRUE(network.Forward(absl::MakeSpan(input).first(12), {2, 2, 3}, {.keep_trace = true}).ok());
  ASSERT_TRUE(network.Forward(absl::MakeSpan(input).subspan(12), {3, 2, 3}, {.keep_trace = true}).ok());
  EXPECT_EQ(network.TracedShape(), Shape({5, 2, 4}));
  EXPECT_EQ(network.TracedShape("out"), Shape({5, 2, 4}));
  EXPECT_EQ(network.TracedShape("nobody"), std::nullopt);
  network.Reset();
  EXPECT_EQ(network.TracedShape("out"), std::nullopt);
}

}  // namespace
}  // namespace spikeserve

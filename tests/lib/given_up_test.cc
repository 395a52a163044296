// Steps that nobody waits for any longer: they end soon, and leave the network as it was, to the bit. (Those of
// training: train_step_refusal_test.cc.)

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "lib/untouched_testing.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

// Wants what is asked for so many times.
class Patience {
 public:
  explicit Patience(int64_t times) : times_(times) {}
  absl::Status operator()() const { return times_-- > 0 ? absl::OkStatus() : absl::CancelledError("given up"); }

 private:
  mutable int64_t times_;
};

// How often a call asks that runs to its end.
int64_t Questions(const std::function<absl::Status(Network&, absl::FunctionRef<absl::Status()>)>& call) {
  int64_t asked = 0;
  Network network = Busy(/*training=*/true);
  EXPECT_TRUE(call(network, [&] {
                ++asked;
                return absl::OkStatus();
              }).ok());
  return asked;
}

// Of the batch of Busy, in more than one block.
constexpr int64_t kManySteps = 70'000;
const std::vector<float>& LongInput() {
  static const std::vector<float> input = RandomNumbers(kManySteps * 2 * 6, 9);
  return input;
}

absl::Status LongForward(Network& network, bool keep_trace, absl::FunctionRef<absl::Status()> wanted) {
  return network.Forward(LongInput(), {kManySteps, 2, 6}, {.keep_trace = keep_trace}, InlineExecutor(), wanted)
      .status();
}

TEST(GivenUp, AForwardLeavesTheNetworkAsItWas) {
  for (const bool keep_trace : {false, true}) {
    SCOPED_TRACE(keep_trace ? "with a trace" : "without a trace");
    const int64_t questions = Questions(
        [&](Network& n, absl::FunctionRef<absl::Status()> wanted) { return LongForward(n, keep_trace, wanted); });
    ASSERT_GT(questions, 10);
    for (const int64_t times : {int64_t{0}, int64_t{3}, questions - 1}) {
      SCOPED_TRACE(times);
      ExpectUntouched([&](Network& network) { return LongForward(network, keep_trace, Patience(times)); });
    }
  }
}

TEST(GivenUp, AFirstForwardLeavesTheNetworkNew) {
  Network network = MakeNetwork(LearningLayers()), other = MakeNetwork(LearningLayers());
  EXPECT_FALSE(LongForward(network, true, Patience(5)).ok());
  EXPECT_EQ(network.ByteSize(), other.ByteSize());
  // Also of another batch than the one that was given up.
  const std::vector<float> input = RandomNumbers(3 * 5 * 6, 1);
  EXPECT_EQ(Forward(network, input, {3, 5, 6}).output, Forward(other, input, {3, 5, 6}).output);
}

TEST(GivenUp, AShortForwardIsNotAskedFor) {
  Network network = Busy(/*training=*/false);
  EXPECT_TRUE(network.Forward(RandomNumbers(4 * 2 * 6, 1), {4, 2, 6}, {}, InlineExecutor(), Patience(0)).ok());
}

TEST(GivenUp, ABackwardLeavesTheTraceAndTheGradientsAsTheyWere) {
  const std::vector<float> grad = RandomNumbers(4 * 2 * 8, 3);
  const auto backward = [&](Network& network, absl::FunctionRef<absl::Status()> wanted) {
    return network.Backward({.grad_output = grad, .compute_grad_input = true}, InlineExecutor(), wanted).status();
  };
  const int64_t questions = Questions(backward);
  ASSERT_GT(questions, 3);
  for (int64_t times = 0; times < questions; ++times) {
    SCOPED_TRACE(times);
    ExpectUntouched([&](Network& network) { return backward(network, Patience(times)); });
  }
}

}  // namespace
}  // namespace spikeserve

// Steps that nobody waits for any longer: they end soon, and leave the network as it was, to the bit. (Those of
// training: train_step_refusal_test.cc.)

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "lib/untouched_testing.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

// Wants what is asked for so many times. It may be asked from any thread.
class Patience {
 public:
  explicit Patience(int64_t times) : times_(times) {}
  absl::Status operator()() const {
    const int64_t before = asked_++;
    return before < times_ ? absl::OkStatus() : absl::CancelledError(absl::StrCat("given up at question ", before));
  }
  int64_t asked() const { return asked_; }

 private:
  const int64_t times_;
  mutable std::atomic<int64_t> asked_ = 0;
};

using Call = std::function<absl::Status(Network&, absl::FunctionRef<absl::Status()>)>;

// How often a call asks that runs to its end.
int64_t Questions(const Call& call, Network network = Busy(/*training=*/true)) {
  const Patience endless(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(call(network, endless), absl::OkStatus());
  return endless.asked();
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

// --- Calls of which one layer takes long.

// The call, on what `make` makes, always the same, asks at least `least` times; and when the answer is no, it ends at
// once and leaves all as it was.
void ExpectAskedAndUndone(const std::function<Network()>& make, int64_t least, const Call& call) {
  const int64_t questions = Questions(call, make());
  ASSERT_GE(questions, least);
  const Snapshot before = SnapshotOf(make());
  for (const int64_t times : {int64_t{0}, questions / 2, questions - 1}) {
    SCOPED_TRACE(times);
    Network network = make();
    const int64_t bytes = network.ByteSize(), trace_steps = network.trace_steps();
    const Patience patience(times);
    EXPECT_EQ(call(network, patience), absl::CancelledError(absl::StrCat("given up at question ", times)));
    EXPECT_EQ(patience.asked(), times + 1);
    ASSERT_TRUE(SnapshotOf(network) == before);
    EXPECT_EQ(network.ByteSize(), bytes);
    EXPECT_EQ(network.trace_steps(), trace_steps);
  }
}

// What so many multiplications of a window, a convolution or a product of matrices take is milliseconds on slow
// machines. A question is due for each.
constexpr int64_t kWindowWork = 1 << 22;
constexpr int64_t kProductWork = 1 << 24;

// A layer, a step of input for it, and a neuron behind it, so that the network has a state.
struct OneStep {
  decltype(LayerSpec::kind) layer;
  Shape shape;
  std::vector<float> input = {};

  Network Make() const { return MakeNetwork({{.name = "layer", .kind = layer}, {.name = "neuron", .kind = IfNode()}}); }
  absl::Status Forward(Network& network, absl::FunctionRef<absl::Status()> wanted = AlwaysWanted,
                       Executor& executor = InlineExecutor()) const {
    return network.Forward(input, shape, {.keep_trace = true}, executor, wanted).status();
  }

  // The forward and the backward step ask once for so much of their work.
  void ExpectQuestions(int64_t work, int64_t work_per_question) const {
    ExpectAskedAndUndone([&] { return Make(); }, work / work_per_question,
                         [&](Network& n, absl::FunctionRef<absl::Status()> wanted) { return Forward(n, wanted); });
    const auto traced = [&] {
      Network network = Make();
      EXPECT_EQ(Forward(network), absl::OkStatus());
      return network;
    };
    Network network = traced();
    const std::vector<float> grad(*ElementCount(*network.TracedShape()), 1.0f);
    ExpectAskedAndUndone(traced, work / work_per_question, [&](Network& n, absl::FunctionRef<absl::Status()> wanted) {
      return n.Backward({.grad_output = grad, .compute_grad_input = true}, InlineExecutor(), wanted).status();
    });
  }
};

// One row of outputs, of windows that are nearly as large as the plane.
constexpr int64_t kPoolWork = 385 * 256 * 384;
OneStep LargePool(bool maximum) {
  const Extent kernel = {256, 384};
  OneStep step{.layer = AvgPool2d{.kernel = kernel, .stride = Extent{1, 1}},
               .shape = {1, 1, 1, 256, 768},
               .input = RandomNumbers(256 * 768, 1)};
  if (maximum) step.layer = MaxPool2d{.kernel = kernel, .stride = Extent{1, 1}};
  return step;
}

TEST(GivenUp, APoolIsAskedForInsideOfARowOfOutputs) {
  for (const bool maximum : {false, true}) {
    SCOPED_TRACE(maximum ? "maximum" : "mean");
    LargePool(maximum).ExpectQuestions(kPoolWork, kWindowWork);
  }
}

TEST(GivenUp, AConvolutionIsAskedForInsideOfATileAndAChannel) {
  // Elements that are not 0 are few enough to be gone through one by one.
  OneStep step{.layer = Conv2d{.weight_shape = {8, 1, 256, 256}, .weight = RandomNumbers(8 * 256 * 256, 1)},
               .shape = {1, 1, 1, 280, 280},
               .input = RandomNumbers(280 * 280, 2)};
  for (size_t i = 0; i < step.input.size(); ++i) step.input[i] *= i % 8 == 0 ? 1 : 0;
  step.ExpectQuestions(25 * 25 * 8 * 256 * 256, kWindowWork);
}

TEST(GivenUp, ALargeLinearLayerIsAskedForInsideOfABlock) {
  OneStep{.layer = RandomLinear(512, 512, 1), .shape = {1, 1024, 512}, .input = RandomNumbers(1024 * 512, 2)}
      .ExpectQuestions(1024 * 512 * 512, kProductWork);
}

TEST(GivenUp, StepsOnManyThreadsEndWithTheFirstAnswer) {
  const OneStep step = LargePool(/*maximum=*/false);
  testing::SplitExecutor threads;
  const Snapshot before = SnapshotOf(step.Make());
  for (const int64_t times : {0, 5, 20}) {
    Network network = step.Make();
    const Patience patience(times);
    // Which of them, where several threads ask at once, is open.
    EXPECT_EQ(step.Forward(network, patience, threads).code(), absl::StatusCode::kCancelled);
    EXPECT_LE(patience.asked(), times + 5);
    EXPECT_TRUE(SnapshotOf(network) == before);
  }
}

TEST(GivenUp, ATrainingStepIsAskedForInsideOfItsLosses) {
  constexpr int64_t kSamples = 1536;
  const std::vector<float> input = RandomNumbers(2 * kSamples * 4, 1);
  std::vector<int64_t> labels(kSamples);
  for (int64_t b = 0; b < kSamples; ++b) labels[b] = b % 4;
  const auto train = [&](const LossTerm& loss) {
    return [&, loss](Network& network, absl::FunctionRef<absl::Status()> wanted) {
      return network
          .TrainStep(input, {2, kSamples, 4}, labels, {.optimizer = Adam(), .num_classes = 4, .losses = {loss}},
                     InlineExecutor(), wanted)
          .status();
    };
  };
  const auto make = [] {
    return MakeNetwork({{.name = "layer", .kind = TamedLinear(4, 8, 1)}, {.name = "neuron", .kind = IfNode()}});
  };
  // The products and the kernel of a pair take as long as so many multiplications, at least.
  constexpr int64_t kPairWork = 64;
  const int64_t others = Questions(train({.kind = RateLoss()}), make());
  ExpectAskedAndUndone(make, others + kSamples * kSamples * kPairWork / kProductWork,
                       train({.kind = SimilarityLoss()}));
}

TEST(GivenUp, AnOptimisersStepChangesNothing) {
  for (const Optimizer& optimizer : {Optimizer(Sgd{.momentum = 0.5}), Optimizer(Adam())}) {
    const auto make = [&] {
      Network network = MakeNetwork({{.name = "first", .kind = TamedLinear(256, 256, 1)},
                                     {.name = "neuron", .kind = IfNode()},
                                     {.name = "second", .kind = TamedLinear(256, 256, 2)}});
      EXPECT_TRUE(network.Forward(RandomNumbers(256, 3), {1, 1, 256}, {.keep_trace = true}).ok());
      EXPECT_TRUE(network.Backward({.grad_output = RandomNumbers(256, 4)}).ok());
      EXPECT_TRUE(network.ApplyGradients(optimizer).ok());  // The optimiser remembers something.
      return network;
    };
    ExpectAskedAndUndone(make, 2 * 256 * 256 >> 14, [&](Network& network, absl::FunctionRef<absl::Status()> wanted) {
      return network.ApplyGradients(optimizer, InlineExecutor(), wanted);
    });
  }
}

}  // namespace
}  // namespace spikeserve

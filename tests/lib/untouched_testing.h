// Calls that must leave a network as it was.

#ifndef SPIKESERVE_TESTS_LIB_UNTOUCHED_TESTING_H_
#define SPIKESERVE_TESTS_LIB_UNTOUCHED_TESTING_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {

inline constexpr int64_t kSteps = 3, kBatch = 5;

// A step that would succeed.
struct TrainStepArguments {
  Shape shape = {kSteps, kBatch, 6};
  std::vector<float> input = RandomNumbers(kSteps * kBatch * 6, 31);
  std::vector<int64_t> labels = {2, 0, 3, 2, 1};
  TrainStepOptions options = {.optimizer = Adam(),
                              .num_classes = 4,
                              .losses = {{.kind = RateLoss()},
                                         {.layer = "hidden", .kind = SimilarityLoss()},
                                         {.layer = "rif", .kind = ClusterLoss{.t_in = 1}}},
                              .margin = TrainingMargin()};

  absl::Status Run(Network& network, absl::FunctionRef<absl::Status()> wanted = AlwaysWanted) const {
    return network.TrainStep(input, shape, labels, options, InlineExecutor(), wanted).status();
  }
};

// In the middle of a sequence, of another batch than that of TrainStepArguments: with voltages, a current, a mask, a
// monitor's record, gradients, moments, and a trace.
inline Network Busy(bool training) {
  Network network = MakeNetwork(LearningLayers());
  const Shape shape = {4, 2, 6};
  network.SetTraining(training);
  EXPECT_TRUE(TrainStepArguments().Run(network).ok());
  for (const uint32_t seed : {1, 2}) {
    EXPECT_TRUE(network.Forward(RandomNumbers(4 * 2 * 6, seed), shape, {.keep_trace = true}).ok());
    // The trace of the second stays.
    EXPECT_TRUE(seed == 2 || network.Backward({.grad_output = RandomNumbers(4 * 2 * 8, seed)}).ok());
  }
  return network;
}

// Calls `attempt`, which must fail, with networks that are as busy as can be, and compares them then with ones that
// have not been touched.
inline void ExpectUntouched(const std::function<absl::Status(Network&)>& attempt) {
  for (const bool training : {false, true}) {
    SCOPED_TRACE(training ? "in training" : "in evaluation");
    Network network = Busy(training), other = Busy(training);
    EXPECT_FALSE(attempt(network).ok());
    EXPECT_EQ(SnapshotOf(network), SnapshotOf(other));
    // What a snapshot does not show: the trace, and what the next steps do.
    EXPECT_EQ(network.trace_bytes(), other.trace_bytes());
    EXPECT_EQ(network.ByteSize(), other.ByteSize());
    const std::vector<float> grad = RandomNumbers(4 * 2 * 8, 3), input = RandomNumbers(2 * 6, 4);
    std::vector<float> grad_inputs[2], outputs[2];
    int i = 0;
    for (Network* n : {&network, &other}) {
      const auto backward = n->Backward({.grad_output = grad, .compute_grad_input = true});
      ASSERT_TRUE(backward.ok()) << backward.status();
      grad_inputs[i] = backward->grad_input;
      outputs[i] = Forward(*n, input, {1, 2, 6}).output;
      n->Reset();  // The next mask.
      ASSERT_TRUE(TrainStepArguments().Run(*n).ok());
      ++i;
    }
    EXPECT_EQ(grad_inputs[0], grad_inputs[1]);
    EXPECT_EQ(outputs[0], outputs[1]);
    EXPECT_EQ(SnapshotOf(network), SnapshotOf(other));
  }
}

}  // namespace spikeserve

#endif  // SPIKESERVE_TESTS_LIB_UNTOUCHED_TESTING_H_

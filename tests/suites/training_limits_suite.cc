// What training may take of a server, over every transport: it is counted, limited, and given back.

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "suites/training_testing.h"
#include "suites/transport.h"

namespace spikeserve::testing {
namespace {

using ::testing::HasSubstr;

class TrainingLimitsSuite : public TransportTest {
 protected:
  NetworkHandle Create(std::vector<LayerSpec> layers) {
    auto network = client().CreateNetwork(std::move(layers));
    EXPECT_TRUE(network.ok()) << network.status();
    return *std::move(network);
  }
};
SPIKESERVE_OVER_ALL_TRANSPORTS(TrainingLimitsSuite);

TEST_P(TrainingLimitsSuite, ATraceOverTheLimitIsRefusedAndTheFlagIsNamed) {
  server::EngineOptions options;
  options.limits.max_trace_bytes = 20'000;
  Transport small(GetParam(), options);
  const auto network = small.client().CreateNetwork(TwoClassLayers());
  ASSERT_TRUE(network.ok()) << network.status();
  const Batches batches;
  const Numbers long_input({100, 8, 6}, 1), input({2, 8, 6}, 2), grad({2, 8, 4}, 3);
  ASSERT_TRUE(network->Forward({.input = input, .keep_trace = true}).ok());
  const int64_t held = BytesHeld(small.client());
  const auto expect_refused = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--max-trace-bytes"));
    EXPECT_EQ(network->Get()->next_step, 1u);
    EXPECT_EQ(BytesHeld(small.client()), held);
  };
  expect_refused(network->Forward({.input = long_input, .keep_trace = true}).status());
  const TrainStepOptions train{.optimizer = Sgd{}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}};
  expect_refused(network->TrainStep({.input = long_input, .labels = batches.labels, .options = train}).status());
  // What counts is the whole trace, not what a call adds to it.
  absl::Status status;
  int more = 0;
  while ((status = network->Forward({.input = input, .keep_trace = true}).status()).ok()) ++more;
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max-trace-bytes"));
  EXPECT_GT(more, 0);
  // The trace is still there, and steps without one may be as many as before.
  const Numbers whole_grad({2 * (more + 1), 8, 4}, 4);
  EXPECT_TRUE(network->Backward({.grad_output = whole_grad}).ok());
  EXPECT_TRUE(network->Forward({.input = long_input}).ok());
  EXPECT_TRUE(network->TrainStep({.input = input, .labels = batches.labels, .options = train}).ok());
}

TEST_P(TrainingLimitsSuite, TheTraceCountsAmongTheBytesOfANetworkUntilItGoes) {
  const NetworkHandle network = Create(TwoClassLayers());
  const Numbers input({40, 8, 6}, 1), grad({40, 8, 4}, 2);
  ASSERT_TRUE(network.Forward({.input = input}).ok());
  const int64_t without = BytesHeld(client());
  const auto keep = [&] {
    ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
    EXPECT_GT(BytesHeld(client()), without + 40 * 8 * 14 * 4);  // The voltages of 14 neurons, for a start.
  };
  keep();
  ASSERT_TRUE(network.Forward({.input = input}).ok());
  EXPECT_EQ(BytesHeld(client()), without);
  keep();
  ASSERT_TRUE(network.Reset().ok());
  EXPECT_LT(BytesHeld(client()), without);
  keep();
  ASSERT_TRUE(network.Backward({.grad_output = grad}).ok());
  int64_t parameters = 0;
  const auto learnt = network.Get({.include_gradients = true});
  for (const ParameterTensor& tensor : learnt->gradients) {
    parameters += static_cast<int64_t>(tensor.values.size());
  }
  EXPECT_EQ(BytesHeld(client()), without + parameters * 4);
  ASSERT_TRUE(network.ZeroGradients().ok());
  EXPECT_EQ(BytesHeld(client()), without);
}

TEST_P(TrainingLimitsSuite, WhatANetworkLearnsWithIsLimitedAndTheFlagIsNamed) {
  server::EngineOptions options;
  options.limits.max_network_bytes = 100'000;
  Transport small(GetParam(), options);
  // 40,000 bytes of weights: the gradients still have room, the optimiser's memory beside them has not.
  const auto network = small.client().CreateNetwork(
      {{.name = "fc", .kind = RandomLinear(100, 100, 1)}, {.name = "out", .kind = IfNode()}});
  ASSERT_TRUE(network.ok()) << network.status();
  const Numbers input({2, 1, 100}, 1), grad({2, 1, 100}, 2);
  ASSERT_TRUE(network->Forward({.input = input, .keep_trace = true}).ok());
  ASSERT_TRUE(network->Backward({.grad_output = grad}).ok());
  const int64_t held = BytesHeld(small.client());
  const std::string bits = BitsOf(*network);
  const auto expect_refused = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--max-network-bytes"));
    EXPECT_EQ(BitsOf(*network), bits);
    EXPECT_EQ(network->Get()->next_step, 2u);
    EXPECT_EQ(BytesHeld(small.client()), held);
  };
  expect_refused(network->ApplyGradients(Adam{}).status());
  const std::vector<int64_t> labels = {3};
  const TrainStepOptions train{.optimizer = Sgd{}, .num_classes = 10, .losses = {{.kind = RateLoss{}}}};
  expect_refused(network->TrainStep({.input = input, .labels = labels, .options = train}).status());
  const Numbers wide({30, 100, 100}, 3);
  ASSERT_TRUE(network->Reset().ok());
  const absl::Status trace = network->Forward({.input = wide, .keep_trace = true}).status();
  EXPECT_EQ(trace.code(), absl::StatusCode::kResourceExhausted) << trace;
  EXPECT_TRUE(network->Forward({.input = input}).ok());
}

TEST_P(TrainingLimitsSuite, AFailedChangeGivesBackWhatItReserved) {
  const NetworkHandle network = Create(TwoClassLayers());
  const int64_t held = BytesHeld(client());
  Numbers input({50, 8, 6}, 1);
  input.values[7] = std::nanf("");
  EXPECT_EQ(network.Forward({.input = input}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BytesHeld(client()), held);
  const TrainStepOptions train{.optimizer = Sgd{}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}};
  const std::vector<int64_t> labels(8, 5);
  EXPECT_EQ(FieldOf(network.TrainStep({.input = input, .labels = labels, .options = train}).status()), "labels");
  EXPECT_EQ(BytesHeld(client()), held);
  const Numbers grad({50, 8, 4}, 2);
  EXPECT_FALSE(network.Backward({.grad_output = grad}).ok());
  EXPECT_EQ(BytesHeld(client()), held);
}

TEST_P(TrainingLimitsSuite, PairsOfASimilarityLossAreLimited) {
  server::EngineOptions options;
  options.limits.max_pairs = 63;
  Transport small(GetParam(), options);
  const auto network = small.client().CreateNetwork(TwoClassLayers());
  ASSERT_TRUE(network.ok());
  const Batches batches;
  const Numbers input({2, 8, 6}, 1);
  TrainStepOptions train{.optimizer = Sgd{}, .num_classes = 2, .losses = {{.kind = SimilarityLoss{}}}};
  const absl::Status status = network->TrainStep({.input = input, .labels = batches.labels, .options = train}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max-pairs"));
  train.losses = {{.kind = RateLoss{}}};
  EXPECT_TRUE(network->TrainStep({.input = input, .labels = batches.labels, .options = train}).ok());
}

}  // namespace
}  // namespace spikeserve::testing

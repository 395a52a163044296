// What others see of a network while it is trained, and what is left of one whose trainer is gone: the network is
// always at a step's boundary, over every transport.

#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "suites/training_testing.h"
#include "suites/transport.h"
#include "support/child_process.h"

namespace spikeserve::testing {
namespace {

class TrainingConsistencySuite : public TransportTest {};
SPIKESERVE_OVER_ALL_TRANSPORTS(TrainingConsistencySuite);

const GetNetworkArgs kEverything{
    .include_monitors = true, .include_state = true, .include_optimizer_state = true, .include_gradients = true};

TEST_P(TrainingConsistencySuite, WhoReadsANetworkThatIsTrainedSeesTheParametersOfOneStep) {
  constexpr uint64_t kSteps = 25;
  const LongStep step;
  std::vector<std::string> wanted;
  Network library = MakeNetwork(LongStep::Layers());
  for (uint64_t i = 0; i <= kSteps; ++i) {
    wanted.push_back(BitsOf(library.Spec()));
    step.Make(library);
  }
  const auto network = client().CreateNetwork(LongStep::Layers());
  ASSERT_TRUE(network.ok()) << network.status();

  // Each step waits for a read that began after the one before it, so that there are reads between all of them; others
  // run beside the steps.
  std::mutex mutex;
  std::condition_variable read;
  int64_t reads = 0;
  std::set<uint64_t> seen;
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      const NetworkHandle mine = client().AttachNetwork(network->name());
      for (uint64_t next_step = 0; next_step < kSteps;) {
        const auto got = mine.Get();
        ASSERT_TRUE(got.ok()) << got.status();
        ASSERT_LE(next_step, got->next_step);
        next_step = got->next_step;
        ASSERT_LE(next_step, kSteps);
        EXPECT_EQ(BitsOf(got->layers), wanted[next_step]) << "before step " << next_step;
        const std::lock_guard lock(mutex);
        ++reads;
        seen.insert(next_step);
        read.notify_all();
      }
    });
  }
  for (uint64_t i = 0; i < kSteps; ++i) {
    {
      std::unique_lock lock(mutex);
      read.wait(lock, [&, before = reads] { return reads > before; });
    }
    const auto result = network->TrainStep(step.Args());
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->next_step, i + 1);
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_GE(reads, static_cast<int64_t>(kSteps));
  EXPECT_GT(seen.size(), kSteps / 4);
}

TEST_P(TrainingConsistencySuite, AStepWhoseCallerGivesUpIsMadeWholeOrNot) {
  const LongStep step;
  const auto network = client().CreateNetwork(LongStep::Layers());
  ASSERT_TRUE(network.ok()) << network.status();
  Network library = MakeNetwork(LongStep::Layers());
  const Numbers input({2, 32, 60}, 41);

  // The first step tells how long one takes.
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(network->TrainStep(step.Args()).ok());
  const absl::Duration whole = absl::Now() - begin;
  step.Make(library);

  std::mt19937 random(7);
  int made = 0, given_up = 0;
  for (int round = 0; round < 60; ++round) {
    // Something to lose: a state in the middle of a sequence.
    ASSERT_TRUE(network->Forward({.input = input}).ok());
    const auto before = network->Get(kEverything);
    ASSERT_TRUE(before.ok()) << before.status();
    const absl::Duration timeout =
        round % 10 == 0   ? absl::InfiniteDuration()
        : round % 10 == 1 ? absl::Nanoseconds(1)  // Given up for certain, however fast or slow the machine.
                          : whole * (static_cast<double>(random() % 1000) / 700);
    const absl::Status status = network->TrainStep(step.Args(), {.timeout = timeout}).status();
    EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
    const auto after = network->Get(kEverything);
    ASSERT_TRUE(after.ok()) << after.status();
    if (after->next_step == before->next_step) {
      ++given_up;
      EXPECT_FALSE(status.ok());
      EXPECT_EQ(BitsOf(*after), BitsOf(*before));
    } else {
      ++made;
      ASSERT_EQ(after->next_step, before->next_step + 1);
      step.Make(library);
      EXPECT_EQ(BitsOf(after->layers), BitsOf(library.Spec()));
      EXPECT_TRUE(after->state.sample_shape.empty());
    }
  }
  EXPECT_GE(made, 6);
  EXPECT_GT(given_up, 0);
}

TEST_P(TrainingConsistencySuite, AForwardAndABackwardWhoseCallerGivesUpAreMadeWholeOrNot) {
  const LongStep step;
  const auto network = client().CreateNetwork(LongStep::Layers());
  ASSERT_TRUE(network.ok()) << network.status();
  Network library = MakeNetwork(LongStep::Layers());
  const Numbers input({12, 32, 60}, 41), grad({12, 32, 20}, 42);
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(network->Forward({.input = input}).ok());
  const absl::Duration whole = absl::Now() - begin;
  ASSERT_TRUE(library.Forward(input.values, input.shape).ok());

  std::mt19937 random(8);
  uint64_t next_step = 1;
  // Whether the call was made, also where its caller does not know.
  const auto was_made = [&] {
    const uint64_t now = network->Get()->next_step;
    return now != std::exchange(next_step, now);
  };
  for (int round = 0; round < 40; ++round) {
    const auto some_time = [&] { return CallOptions{whole * (static_cast<double>(random() % 1000) / 500)}; };
    network->Forward({.input = input, .keep_trace = true}, some_time()).status().IgnoreError();
    if (was_made()) {
      ASSERT_TRUE(library.Forward(input.values, input.shape, {.keep_trace = true}).ok());
    }
    Shape shape = grad.shape;
    shape[0] = library.trace_steps();
    std::vector<float> grads;
    for (int64_t t = 0; t < shape[0]; t += 12) grads.insert(grads.end(), grad.values.begin(), grad.values.end());
    network->Backward({.grad_output = TensorView(absl::MakeConstSpan(grads), shape)}, some_time())
        .status()
        .IgnoreError();
    if (was_made()) {
      ASSERT_TRUE(library.Backward({.grad_output = grads}).ok());
    }
  }
  const auto got = network->Get({.include_state = true, .include_gradients = true});
  ASSERT_TRUE(got.ok()) << got.status();
  ExpectSame(got->gradients, library.Gradients());
  ASSERT_EQ(got->state.layers.size(), library.State().layers.size());
  for (size_t i = 0; i < got->state.layers.size(); ++i) {
    EXPECT_EQ(got->state.layers[i].v, library.State().layers[i].v) << got->state.layers[i].layer;
  }
}

TEST_P(TrainingConsistencySuite, ATrainerThatIsKilledLeavesTheNetworkAtAStepsBoundary) {
  if (GetParam() == TransportKind::kInProcess) return;  // The service goes with its only client.
  const LongStep step;
  const auto network = client().CreateNetwork(LongStep::Layers());
  ASSERT_TRUE(network.ok()) << network.status();
  Network library = MakeNetwork(LongStep::Layers());
  uint64_t steps = 0;
  for (int round = 0; round < 8; ++round) {
    const ConnectOptions& options = transport().connect_options();
    const TlsOptions tls = options.tls.value_or(TlsOptions());
    ChildProcess trainer(SPIKESERVE_VICTIM, {transport().address(), network->name(), tls.ca_file, tls.certificate_file,
                                             tls.key_file, options.token});
    EXPECT_EQ(trainer.ReadLine(), "training");
    absl::SleepFor(absl::Milliseconds(3 * round));
    EXPECT_EQ(trainer.End(SIGKILL), -SIGKILL);

    // The server may still be at the trainer's last call.
    while (client().ServerStatistics()->calls_in_progress > 1) absl::SleepFor(absl::Milliseconds(1));
    const auto got = network->Get(kEverything);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_GT(got->next_step, steps);
    for (; steps < got->next_step; ++steps) step.Make(library);
    EXPECT_EQ(BitsOf(got->layers), BitsOf(library.Spec()));
    EXPECT_TRUE(got->state.sample_shape.empty());
    // And it goes on.
    const auto next = network->TrainStep(step.Args());
    ASSERT_TRUE(next.ok()) << next.status();
    step.Make(library);
    ++steps;
    EXPECT_EQ(next->next_step, steps);
    EXPECT_EQ(BitsOf(*network), BitsOf(library.Spec()));
  }
}

}  // namespace
}  // namespace spikeserve::testing

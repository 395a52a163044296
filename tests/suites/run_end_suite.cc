// Networks that run as their input comes, over every transport: how the stream ends, and when it waits.

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "suites/run_testing.h"

namespace spikeserve::testing {
namespace {

using ::testing::HasSubstr;

class RunEndSuite : public RunTest {
 protected:
  // Has large answers to small inputs.
  static std::vector<LayerSpec> Wide() { return {{.kind = LinearLayer{RowMatrix<float>::Ones(1000, 1), {}}}}; }

  // A stream on a network of such layers whose answer has come, and waits to be received.
  NetworkRun RunWithAnAnswer(const NetworkHandle& network, Connection& connection) {
    absl::StatusOr<NetworkRun> run = network.Run();
    if (!run.ok() || !run->Send(Random({1000, 1, 1})).ok()) {
      ADD_FAILURE() << run.status();
      std::abort();
    }
    // Nothing else takes as much.
    while (connection.buffers().statistics().bytes_in_use < 1 << 20) absl::SleepFor(absl::Milliseconds(1));
    return *std::move(run);
  }
};
SPIKESERVE_OVER_ALL_TRANSPORTS(RunEndSuite);

TEST_P(RunEndSuite, FinishWaitsForAllThatWasSent) {
  const NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_TRUE(run->Send(Step(1, 1)).ok());
  ASSERT_TRUE(run->Send(Step(1, 1)).ok());
  EXPECT_TRUE(run->Finish().ok());
  EXPECT_EQ(Changes(network), 2u);
}

TEST_P(RunEndSuite, ANetworkThatIsDeletedMeanwhileEndsTheStream) {
  NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_TRUE(run->Step(Step(1, 1)).ok());
  ASSERT_TRUE(network.Delete().ok());
  const absl::Status status = run->Step(Step(1, 1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(run->Finish(), status);
}

TEST_P(RunEndSuite, AnUnknownNetworkIsNotFound) {
  const NetworkHandle network = client().AttachNetwork("absent");
  auto run = network.Run();
  ASSERT_TRUE(run.ok()) << run.status();
  const absl::Status status = run->Step(Step(1, 1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(FieldOf(status), "network");
}

TEST_P(RunEndSuite, EachMessageCountsAsAUse) {
  static std::atomic<int64_t> now_seconds;
  now_seconds = 1'000'000;
  server::EngineOptions options;
  options.limits.network_idle_timeout = absl::Seconds(10);
  options.clock = [] { return absl::FromUnixSeconds(now_seconds); };
  Transport transport(GetParam(), options);
  auto network = transport.client().CreateNetwork({{.kind = IfNode{}}});
  ASSERT_TRUE(network.ok());
  auto run = network->Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(run->Step(Step(1, 1)).ok()) << i;
    now_seconds += 6;
  }
  now_seconds += 6;
  // The answer may be here a moment before the network is out of use, and in use it does not expire.
  while (!transport.client().ListNetworks()->empty()) std::this_thread::yield();
  const absl::Status expired = run->Step(Step(1, 1)).status();
  EXPECT_EQ(expired.code(), absl::StatusCode::kNotFound) << expired;
  EXPECT_THAT(std::string(expired.message()), HasSubstr("expired"));
}

TEST_P(RunEndSuite, ADeadlineEndsAStreamThatWaits) {
  const NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true}, {.timeout = absl::Milliseconds(100)});
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->Receive().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run->Send(Step(1, 1)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Changes(network), 0u);
}

TEST_P(RunEndSuite, CancellingLeavesTheNetworkAsWholeMessagesMakeIt) {
  const NetworkHandle network = AllKinds();
  const Tensor input = Random({400, 8, 5});
  auto before = network.Get({.include_state = true});
  ASSERT_TRUE(before.ok()) << before.status();
  for (const int ahead : {1, 2, 3}) {
    auto run = network.Run();
    ASSERT_TRUE(run.ok()) << run.status();
    std::thread sender([&] {
      // The third one may have to wait until the first is received, or all is over.
      for (int i = 0; i < ahead; ++i) run->Send(input).IgnoreError();
    });
    ASSERT_TRUE(run->Receive().ok());
    run->Cancel();
    sender.join();
    // What was computed already may come before the end.
    absl::Status status = run->Receive().status();
    while (status.ok()) status = run->Receive().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
    EXPECT_FALSE(run->Send(input).ok());

    auto after = network.Get({.include_state = true});
    ASSERT_TRUE(after.ok()) << after.status();
    const uint64_t carried_out = after->next_step - before->next_step;
    EXPECT_GE(carried_out, 1u);
    const auto copy = client().RestoreNetwork({.layers = before->layers, .training = true, .state = before->state});
    ASSERT_TRUE(copy.ok()) << copy.status();
    for (uint64_t i = 0; i < carried_out; ++i) ASSERT_TRUE(copy->Forward({.input = input}).ok());
    ExpectSame(copy->Get({.include_state = true})->state, after->state);
    before = std::move(after);
  }
}

TEST_P(RunEndSuite, AStreamThatIsDroppedLeavesTheServerServing) {
  const NetworkHandle network = OneNeuron();
  for (int i = 0; i < 20; ++i) {
    auto run = network.Run({.single_step = true});
    ASSERT_TRUE(run.ok()) << run.status();
    for (int k = 0; k < i % 3; ++k) ASSERT_TRUE(run->Send(Step(1, 1)).ok());
  }
  EXPECT_TRUE(network.Forward({.input = Step(1, 1), .single_step = true}).ok());
}

TEST_P(RunEndSuite, AStreamThatIsDroppedBeforeItsAnswerIsReceivedLetsGoOfTheConnection) {
  auto own = std::make_unique<Transport>(GetParam());
  const std::weak_ptr<Connection> connection = own->connection();
  {
    const auto network = own->client().CreateNetwork(Wide());
    ASSERT_TRUE(network.ok()) << network.status();
    RunWithAnAnswer(*network, *own->connection());
  }
  own.reset();
  const absl::Time latest = absl::Now() + absl::Seconds(30);
  while (!connection.expired() && absl::Now() < latest) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_TRUE(connection.expired());
}

TEST_P(RunEndSuite, AStreamMayBeCancelledTwiceWhileItsAnswerWaits) {
  const auto network = client().CreateNetwork(Wide());
  ASSERT_TRUE(network.ok()) << network.status();
  NetworkRun run = RunWithAnAnswer(*network, *transport().connection());
  run.Cancel();
  run.Cancel();
  absl::Status status = run.Receive().status();
  while (status.ok()) status = run.Receive().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
}

TEST_P(RunEndSuite, AClientThatDoesNotReadIsNotComputedFor) {
  // Outputs of 1 MB for inputs of 4 bytes. What goes before somebody reads is a few of the server's and what the
  // transport takes.
  constexpr uint64_t kMessages = 100;
  const auto network = client().CreateNetwork({{.kind = LinearLayer{RowMatrix<float>::Ones(1 << 18, 1), {}}}});
  ASSERT_TRUE(network.ok()) << network.status();
  auto run = network->Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  std::thread sender([&] {
    for (uint64_t i = 0; i < kMessages; ++i) ASSERT_TRUE(run->Send(Step(1, i)).ok());
  });
  // Until it goes no further.
  uint64_t changes = 0;
  for (int same = 0; same < 20;) {
    absl::SleepFor(absl::Milliseconds(10));
    const uint64_t now = Changes(*network);  // Others are served meanwhile.
    same = now == changes ? same + 1 : 0;
    changes = now;
  }
  EXPECT_LT(changes, kMessages);
  for (uint64_t i = 0; i < kMessages; ++i) {
    const auto result = run->Receive();
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->next_step, i + 1);
    ASSERT_EQ(result->output.values<float>().back(), static_cast<float>(i));
  }
  sender.join();
  EXPECT_TRUE(run->Finish().ok());
}

TEST_P(RunEndSuite, AMessageWhoseResultIsTooLargeIsRefusedAndTheFlagIsNamed) {
  server::EngineOptions options;
  options.limits.max_message_bytes = 1 << 20;
  Transport transport(GetParam(), options);
  const auto network = transport.client().CreateNetwork({{.kind = LinearLayer{RowMatrix<float>::Ones(1000, 1), {}}}});
  ASSERT_TRUE(network.ok()) << network.status();
  auto run = network->Run();
  ASSERT_TRUE(run.ok()) << run.status();
  const Tensor few = Random({10, 1, 1}), many = Random({1000, 1, 1});
  ASSERT_TRUE(run->Step(few).ok());
  const absl::Status status = run->Step(many).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max-message-bytes"));
  EXPECT_EQ(Changes(*network), 1u);
}

}  // namespace
}  // namespace spikeserve::testing

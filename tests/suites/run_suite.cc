// Networks that run as their input comes, over every transport.

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "message_stream.h"
#include "spikeserve/client/network_run.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/networks.pb.h"
#include "suites/transport.h"
#include "support/envelopes.h"

namespace spikeserve::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void ExpectSame(const TensorView& a, const TensorView& b) {
  EXPECT_EQ(a.dtype(), b.dtype());
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.byte_size())), 0) << "other elements";
}

// The steps [begin, end) of a float32 tensor.
TensorView Steps(const TensorView& whole, int64_t begin, int64_t end) {
  Shape shape = whole.shape();
  const int64_t step = shape[0] == 0 ? 0 : *ElementCount(shape) / shape[0];
  shape[0] = end - begin;
  return {absl::MakeConstSpan(static_cast<const float*>(whole.data()) + begin * step, (end - begin) * step),
          std::move(shape)};
}

// The same of one step, without the dimension of time.
TensorView OneStep(const TensorView& whole, int64_t t) {
  const TensorView step = Steps(whole, t, t + 1);
  return {step.dtype(), Shape(step.shape().begin() + 1, step.shape().end()), step.data()};
}

void Append(const Tensor& tensor, std::vector<char>& bytes) {
  const char* data = static_cast<const char*>(tensor.data());
  bytes.insert(bytes.end(), data, data + tensor.byte_size());
}

void ExpectSame(const NetworkState& a, const NetworkState& b) {
  EXPECT_EQ(a.sample_shape, b.sample_shape);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].layer, b.layers[i].layer);
    EXPECT_EQ(a.layers[i].v, b.layers[i].v);
    EXPECT_EQ(a.layers[i].current, b.layers[i].current);
    EXPECT_EQ(a.layers[i].mask, b.layers[i].mask);
    EXPECT_EQ(a.layers[i].masks_drawn, b.layers[i].masks_drawn);
  }
}

// The elements of a member of the records `r`, over all parts.
std::vector<char> RecordBytes(const std::vector<std::vector<RecordTensors>>& parts, size_t r,
                              std::optional<Tensor> RecordTensors::*member) {
  std::vector<char> bytes;
  for (const std::vector<RecordTensors>& part : parts) {
    if (const std::optional<Tensor>& tensor = part.at(r).*member) Append(*tensor, bytes);
  }
  return bytes;
}

class RunSuite : public TransportTest {
 protected:
  Tensor Random(const Shape& shape) {
    Tensor tensor(DataType::kFloat32, shape);
    std::normal_distribution<float> normal(0.4f, 0.6f);
    for (float& value : tensor.values<float>()) value = normal(random_);
    return tensor;
  }

  // Every kind of layer that keeps state, in training.
  NetworkHandle AllKinds() {
    std::normal_distribution<float> normal(0.2f, 0.5f);
    const RowMatrix<float> weight = RowMatrix<float>::NullaryExpr(17, 5, [&] { return normal(random_); });
    absl::StatusOr<NetworkHandle> network = client().CreateNetwork({
        {.kind = LinearLayer{weight, std::vector<float>(17, 0.1f)}},
        {.name = "lif", .kind = LifNode{{.v_threshold = 0.5f, .v_reset = std::nullopt, .monitor = true}, 3}},
        {.kind = Dropout{0.25, 42}},
        {.kind = LowPassSynapse{4}},
        {.kind = PlifNode{{}, 3, 0.4f}},
        {.name = "out", .kind = IfNode{}},
    });
    if (!network.ok() || !network->SetTraining(true).ok()) {
      ADD_FAILURE() << network.status();
      std::abort();
    }
    return *std::move(network);
  }

  NetworkHandle OneNeuron() {
    absl::StatusOr<NetworkHandle> network = client().CreateNetwork({{.name = "out", .kind = IfNode{}}});
    if (!network.ok()) {
      ADD_FAILURE() << network.status();
      std::abort();
    }
    return *std::move(network);
  }

  std::mt19937 random_{7};
};
SPIKESERVE_OVER_ALL_TRANSPORTS(RunSuite);

// A step of a batch of neurons.
RowMatrix<float> Step(int batch, float value) { return RowMatrix<float>::Constant(batch, 1, value); }

// The number of changes that were made.
uint64_t Changes(const NetworkHandle& network) {
  const auto got = network.Get();
  EXPECT_TRUE(got.ok()) << got.status();
  return got.ok() ? got->next_step : 0;
}

// --- Results.

TEST_P(RunSuite, MessagesOfAnyNumberOfStepsComeToOneForwardOfAllOfThemBitForBit) {
  const NetworkHandle network = AllKinds();
  const std::vector<RecordRequest> records = {{.layer = "out", .v_before_reset = true},
                                              {.layer = "lif", .spikes = true, .v_after_reset = true}};
  const int64_t steps = 13;
  for (const int batch : {1, 3}) {
    const Tensor input = Random({steps, batch, 5});
    const std::vector<std::vector<int64_t>> cuts = {
        {0, 13}, {0, 5, 13}, {0, 0, 1, 1, 4, 13, 13}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}};
    for (const DataType mask_dtype : {DataType::kBool, DataType::kBit}) {
      ASSERT_TRUE(network.Reset().ok());
      // Masks are drawn anew after each reset, so each cut runs on a copy of the network as it is now.
      const auto before = network.Get({.include_state = true});
      ASSERT_TRUE(before.ok()) << before.status();
      const auto copy = [&] {
        return *client().RestoreNetwork({.layers = before->layers, .training = true, .state = before->state});
      };
      const NetworkHandle whole_network = copy();
      auto whole = whole_network.Forward({.input = input, .records = records, .mask_dtype = mask_dtype});
      ASSERT_TRUE(whole.ok()) << whole.status();
      std::vector<char> whole_output;
      Append(whole->output, whole_output);
      std::vector<std::vector<RecordTensors>> whole_records;
      whole_records.push_back(std::move(whole->records));
      const NetworkState state = whole_network.Get({.include_state = true})->state;

      for (const bool single_step : {false, true}) {
        for (const std::vector<int64_t>& cut : cuts) {
          if (single_step && cut.size() != static_cast<size_t>(steps) + 1) continue;
          const NetworkHandle part_network = copy();
          auto run = part_network.Run({.single_step = single_step, .records = records, .mask_dtype = mask_dtype});
          ASSERT_TRUE(run.ok()) << run.status();
          std::vector<char> outputs;
          std::vector<std::vector<RecordTensors>> part_records;
          for (size_t i = 0; i + 1 < cut.size(); ++i) {
            auto result = run->Step(single_step ? OneStep(input, cut[i]) : Steps(input, cut[i], cut[i + 1]));
            ASSERT_TRUE(result.ok()) << result.status();
            const Shape shape = single_step ? Shape({batch, 17}) : Shape({cut[i + 1] - cut[i], batch, 17});
            EXPECT_EQ(result->output.shape(), shape);
            EXPECT_EQ(result->output.dtype(), mask_dtype);
            EXPECT_EQ(result->next_step, i + 1);
            Append(result->output, outputs);
            part_records.push_back(std::move(result->records));
          }
          EXPECT_TRUE(run->Finish().ok());
          EXPECT_EQ(outputs, whole_output);
          for (size_t r = 0; r < records.size(); ++r) {
            for (const auto member :
                 {&RecordTensors::spikes, &RecordTensors::v_before_reset, &RecordTensors::v_after_reset}) {
              EXPECT_EQ(RecordBytes(part_records, r, member), RecordBytes(whole_records, r, member)) << r;
            }
          }
          ExpectSame(part_network.Get({.include_state = true})->state, state);
        }
      }
    }
  }
}

TEST_P(RunSuite, SharesTheNetworksStateWithOtherCallsWhichComeInBetween) {
  const NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  const RowMatrix<float> half = Step(1, 0.5);
  EXPECT_THAT(run->Step(half)->output.values<bool>(), ElementsAre(false));
  EXPECT_THAT(network.Forward({.input = half, .single_step = true})->output.values<bool>(), ElementsAre(true));
  EXPECT_THAT(run->Step(half)->output.values<bool>(), ElementsAre(false));
  ASSERT_TRUE(network.Reset().ok());
  EXPECT_THAT(run->Step(half)->output.values<bool>(), ElementsAre(false));
  auto other = network.Run({.single_step = true});
  ASSERT_TRUE(other.ok());
  EXPECT_THAT(other->Step(half)->output.values<bool>(), ElementsAre(true));
  EXPECT_TRUE(other->Finish().ok());
  const auto last = run->Step(half);
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->next_step, 7u);
  EXPECT_TRUE(run->Finish().ok());
}

TEST_P(RunSuite, ResponsesComeInTheOrderOfTheMessages) {
  // One weight, 1: the output is the input. Messages of all sizes, so that some are computed at once and some are not.
  const auto network = client().CreateNetwork({{.kind = LinearLayer{RowMatrix<float>::Ones(1, 1), {}}}});
  ASSERT_TRUE(network.ok()) << network.status();
  auto run = network->Run();
  ASSERT_TRUE(run.ok()) << run.status();
  constexpr int kMessages = 300;
  const auto message = [](int i) { return std::vector<float>(i % 50 == 49 ? 100'000 : 1 + i % 7, i); };
  std::thread sender([&] {
    for (int i = 0; i < kMessages; ++i) {
      const std::vector<float> values = message(i);
      ASSERT_TRUE(run->Send(TensorView(absl::MakeConstSpan(values), {static_cast<int64_t>(values.size()), 1, 1})).ok());
    }
  });
  for (int i = 0; i < kMessages; ++i) {
    const auto result = run->Receive();
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->next_step, i + 1u);
    const auto got = result->output.values<float>();
    ASSERT_EQ(std::vector<float>(got.begin(), got.end()), message(i)) << i;
  }
  sender.join();
  EXPECT_TRUE(run->Finish().ok());
}

TEST_P(RunSuite, SeveralStreamsOnOneNetworkTakeTurnsMessageByMessage) {
  // Each message adds 1/4 four times; were two to run at once, additions or spikes would be lost.
  const NetworkHandle network = OneNeuron();
  const std::vector<float> quarter(4, 0.25f);
  const TensorView input(absl::MakeConstSpan(quarter), {4, 1, 1});
  std::atomic<int> spikes = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      auto run = network.Run();
      ASSERT_TRUE(run.ok()) << run.status();
      for (int i = 0; i < 50; ++i) {
        const auto result = run->Step(input);
        ASSERT_TRUE(result.ok()) << result.status();
        for (const bool s : result->output.values<bool>()) spikes += s;
      }
      EXPECT_TRUE(run->Finish().ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(spikes, 200);
  EXPECT_EQ(Changes(network), 200u);
}

// --- Resets.

TEST_P(RunSuite, AResetComesBeforeTheInputOrAlone) {
  const NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  const RowMatrix<float> half = Step(1, 0.5);
  EXPECT_THAT(run->Step(half)->output.values<bool>(), ElementsAre(false));
  EXPECT_THAT(run->Step(half, {.reset = true})->output.values<bool>(), ElementsAre(false));
  ASSERT_TRUE(run->SendReset().ok());
  const auto reset = run->Receive();
  ASSERT_TRUE(reset.ok()) << reset.status();
  EXPECT_EQ(reset->output.size(), 0);
  EXPECT_EQ(reset->next_step, 3u);
  EXPECT_THAT(run->Step(half)->output.values<bool>(), ElementsAre(false));
  EXPECT_THAT(run->Step(half)->output.values<bool>(), ElementsAre(true));
  // After a reset the batch may be another one.
  EXPECT_THAT(run->Step(Step(2, 1.5), {.reset = true})->output.values<bool>(), ElementsAre(true, true));
  EXPECT_TRUE(run->Finish().ok());
}

TEST_P(RunSuite, AResetWhoseInputIsRefusedIsNone) {
  const NetworkHandle network = AllKinds();
  const Tensor input = Random({9, 2, 5});
  ASSERT_TRUE(network.Forward({.input = input}).ok());
  const auto before = network.Get({.include_monitors = true, .include_state = true});
  ASSERT_TRUE(before.ok()) << before.status();
  Tensor nan = Random({3, 2, 5});
  nan.values<float>()[17] = std::numeric_limits<float>::quiet_NaN();
  const Tensor narrow = Random({3, 2, 4});
  for (const TensorView& bad : {TensorView(nan), TensorView(narrow)}) {
    auto run = network.Run();
    ASSERT_TRUE(run.ok()) << run.status();
    const absl::Status status = run->Step(bad, {.reset = true}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(FieldOf(status), "input");
    const auto after = network.Get({.include_monitors = true, .include_state = true});
    ASSERT_TRUE(after.ok()) << after.status();
    EXPECT_EQ(after->next_step, before->next_step);
    ExpectSame(after->state, before->state);
    ASSERT_EQ(after->monitors.size(), 1u);
    ExpectSame(*after->monitors[0].spikes, *before->monitors[0].spikes);
    ExpectSame(*after->monitors[0].v_before_reset, *before->monitors[0].v_before_reset);
  }
}

// --- Counting.

TEST_P(RunSuite, ARepeatedNumberIsCarriedOutOnceOnThisStreamOrAnother) {
  const NetworkHandle network = OneNeuron();
  const RowMatrix<float> half = Step(1, 0.5);
  auto run = network.Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(run->Step(half, {.step = 0})->output.values<bool>(), ElementsAre(false));
  for (int i = 0; i < 3; ++i) {
    const auto result = run->Step(half, {.step = 1});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(result->output.values<bool>(), ElementsAre(true));
    EXPECT_EQ(result->next_step, 2u);
  }
  run->Cancel();
  auto next = network.Run({.single_step = true});
  ASSERT_TRUE(next.ok());
  EXPECT_THAT(next->Step(half, {.step = 1})->output.values<bool>(), ElementsAre(true));
  EXPECT_THAT(next->Step(half, {.step = 2})->output.values<bool>(), ElementsAre(false));
  EXPECT_EQ(Changes(network), 3u);
}

TEST_P(RunSuite, AWrongNumberIsRefusedAfterTheResponsesBeforeIt) {
  const NetworkHandle network = OneNeuron();
  const RowMatrix<float> half = Step(1, 0.5);
  // The last one is that of a Forward, whose response is no Run's.
  ASSERT_TRUE(network.Forward({.input = half, .single_step = true, .step = 0}).ok());
  for (const uint64_t wrong : {uint64_t{0}, uint64_t{5}, ~uint64_t{0}}) {
    auto run = network.Run({.single_step = true});
    ASSERT_TRUE(run.ok()) << run.status();
    const uint64_t next = Changes(network);
    if (wrong != 0) {
      ASSERT_TRUE(run->Send(half).ok());
    }
    ASSERT_TRUE(run->Send(half, {.step = wrong}).ok());
    if (wrong != 0) {
      const auto right = run->Receive();
      ASSERT_TRUE(right.ok()) << right.status();
      EXPECT_EQ(right->next_step, next + 1);
    }
    const absl::Status status = run->Receive().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(FieldOf(status), "step");
    EXPECT_EQ(run->Receive().status(), status);
    EXPECT_EQ(Changes(network), wrong == 0 ? next : next + 1);
  }
}

// --- The end.

TEST_P(RunSuite, FinishWaitsForAllThatWasSent) {
  const NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_TRUE(run->Send(Step(1, 1)).ok());
  ASSERT_TRUE(run->Send(Step(1, 1)).ok());
  EXPECT_TRUE(run->Finish().ok());
  EXPECT_EQ(Changes(network), 2u);
}

TEST_P(RunSuite, ANetworkThatIsDeletedMeanwhileEndsTheStream) {
  NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true});
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_TRUE(run->Step(Step(1, 1)).ok());
  ASSERT_TRUE(network.Delete().ok());
  const absl::Status status = run->Step(Step(1, 1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(run->Finish(), status);
}

TEST_P(RunSuite, AnUnknownNetworkIsNotFound) {
  const NetworkHandle network = client().AttachNetwork("absent");
  auto run = network.Run();
  ASSERT_TRUE(run.ok()) << run.status();
  const absl::Status status = run->Step(Step(1, 1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(FieldOf(status), "network");
}

TEST_P(RunSuite, EachMessageCountsAsAUse) {
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
  const absl::Status expired = run->Step(Step(1, 1)).status();
  EXPECT_EQ(expired.code(), absl::StatusCode::kNotFound) << expired;
  EXPECT_THAT(std::string(expired.message()), HasSubstr("expired"));
}

TEST_P(RunSuite, ADeadlineEndsAStreamThatWaits) {
  const NetworkHandle network = OneNeuron();
  auto run = network.Run({.single_step = true}, {.timeout = absl::Milliseconds(100)});
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->Receive().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run->Send(Step(1, 1)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Changes(network), 0u);
}

TEST_P(RunSuite, CancellingLeavesTheNetworkAsWholeMessagesMakeIt) {
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

TEST_P(RunSuite, AStreamThatIsDroppedLeavesTheServerServing) {
  const NetworkHandle network = OneNeuron();
  for (int i = 0; i < 20; ++i) {
    auto run = network.Run({.single_step = true});
    ASSERT_TRUE(run.ok()) << run.status();
    for (int k = 0; k < i % 3; ++k) ASSERT_TRUE(run->Send(Step(1, 1)).ok());
  }
  EXPECT_TRUE(network.Forward({.input = Step(1, 1), .single_step = true}).ok());
}

TEST_P(RunSuite, AClientThatDoesNotReadIsNotComputedFor) {
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

TEST_P(RunSuite, AMessageWhoseResultIsTooLargeIsRefusedAndTheFlagIsNamed) {
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

TEST_P(RunSuite, StepsDropTheTraceAsAForwardThatKeepsNoneDoes) {
  const NetworkHandle network = AllKinds();
  const Tensor input = Random({4, 2, 5});
  ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  auto run = network.Run();
  ASSERT_TRUE(run.ok() && run->Step(input).ok());
  const Tensor gradient = Random({4, 2, 17});
  EXPECT_EQ(network.Backward({.grad_output = gradient}).status().code(), absl::StatusCode::kFailedPrecondition);
}

// --- Messages that no NetworkRun sends.

class RunMessagesSuite : public TransportTest {
 protected:
  using Request = v1::RunRequest;

  RunMessagesSuite() : network_(*client().CreateNetwork({{.name = "out", .kind = IfNode{}}})) {}

  Request Input(const std::vector<int64_t>& shape, double value = 0.5) {
    Request request;
    request.mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT32);
    int64_t count = 1;
    for (const int64_t length : shape) {
      request.mutable_input()->add_shape(length);
      count *= length;
    }
    for (int64_t i = 0; i < count; ++i) request.mutable_input()->add_values(value);
    return request;
  }
  Request Open(Request request = {}) {
    request.mutable_open()->set_network(network_.name());
    return request;
  }

  // Sends the messages, and ends the stream. Its responses, and how it ended.
  std::pair<std::vector<v1::RunResponse>, absl::Status> Exchange(const std::vector<Request>& messages) {
    const auto stream = transport().connection()->OpenStream({"/spikeserve.v1.SpikeNetworkService/Run",
                                                              &v1::RunResponse::default_instance(),
                                                              absl::InfiniteFuture(), transport().connection()});
    if (!stream.ok()) return {{}, stream.status()};
    std::thread sender([&] {
      for (const Request& message : messages) {
        if (!(*stream)->Send(*ToEnvelope(message, transport().connection()->buffers())).ok()) return;
      }
      (*stream)->CloseSend();
    });
    std::vector<v1::RunResponse> responses;
    absl::StatusOr<std::optional<codec::Envelope>> received = (*stream)->Receive();
    for (; received.ok() && received->has_value(); received = (*stream)->Receive()) {
      EXPECT_TRUE(responses.emplace_back().ParseFromString(Serialized(**received)));
    }
    sender.join();
    return {std::move(responses), received.status()};
  }

  const NetworkHandle network_;
};
SPIKESERVE_OVER_ALL_TRANSPORTS(RunMessagesSuite);

TEST_P(RunMessagesSuite, OneResponseForEachMessageWithAnInputOrAReset) {
  Request reset;
  reset.set_reset(true);
  Request both = Input({1, 1, 1});
  both.set_reset(true);
  const auto [responses, status] =
      Exchange({Open(), Input({1, 1, 1}), {}, reset, Input({2, 1, 1}), {}, {}, both, Input({1, 1, 1})});
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_EQ(responses.size(), 5u);
  for (size_t i = 0; i < responses.size(); ++i) EXPECT_EQ(responses[i].next_step(), i + 1);
  EXPECT_FALSE(responses[1].has_output());
  EXPECT_EQ(responses[0].output().data(), std::string("\0", 1));
  EXPECT_EQ(responses[2].output().data(), std::string("\0\1", 2));
  EXPECT_EQ(responses[3].output().data(), std::string("\0", 1));
  EXPECT_EQ(responses[4].output().data(), std::string("\1", 1));
}

TEST_P(RunMessagesSuite, WrongMessagesEndTheStreamAfterTheResponsesBeforeThemAndChangeNothing) {
  Request mask = Open(Input({1, 1, 1}));
  mask.mutable_open()->set_mask_dtype(v1::DATA_TYPE_FLOAT32);
  Request layer = Open(Input({1, 1, 1}));
  layer.mutable_open()->add_records()->set_layer("in");
  Request unknown = Open(Input({1, 1, 1}));
  unknown.mutable_open()->set_network("absent");
  Request nothing_of_unknown;
  nothing_of_unknown.mutable_open()->set_network("absent");
  Request single = Open(Input({}));
  single.mutable_open()->set_single_step(true);
  Request garbled = Open(Input({2, 1, 1}));
  garbled.mutable_input()->add_values(1);
  const Request first = Open(Input({1, 1, 1}));
  Request wrong_step = Input({1, 1, 1});
  wrong_step.set_step(1'000'000);

  const struct {
    const char* what;
    std::vector<Request> messages;
    size_t responses;
    absl::StatusCode code;
    const char* field;
  } cases[] = {
      {"no open", {Input({1, 1, 1})}, 0, absl::StatusCode::kInvalidArgument, "open"},
      {"no open and nothing else", {{}}, 0, absl::StatusCode::kInvalidArgument, "open"},
      {"open twice", {first, first}, 1, absl::StatusCode::kInvalidArgument, "open"},
      {"open twice, of nothing", {first, Open()}, 1, absl::StatusCode::kInvalidArgument, "open"},
      {"a dtype for no masks", {mask}, 0, absl::StatusCode::kInvalidArgument, "mask_dtype"},
      {"a layer that is not there", {layer}, 0, absl::StatusCode::kInvalidArgument, "records[0].layer"},
      {"a network that is not there", {unknown}, 0, absl::StatusCode::kNotFound, "network"},
      {"the same without input", {nothing_of_unknown}, 0, absl::StatusCode::kNotFound, "network"},
      {"another batch", {first, Input({1, 2, 1})}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"other features", {first, Input({1, 1, 3})}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"too few dimensions", {first, Input({1})}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"no dimension of a single step", {single}, 0, absl::StatusCode::kInvalidArgument, "input"},
      {"more values than the shape", {garbled}, 0, absl::StatusCode::kInvalidArgument, "input"},
      {"NaN", {first, Input({1, 1, 1}, std::nan(""))}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"a wrong step", {first, wrong_step}, 1, absl::StatusCode::kFailedPrecondition, "step"},
  };
  for (const auto& c : cases) {
    const uint64_t before = network_.Get()->next_step;
    std::vector<Request> messages = c.messages;
    messages.push_back(Input({1, 1, 1}));  // Comes to nothing.
    const auto [responses, status] = Exchange(messages);
    EXPECT_EQ(status.code(), c.code) << c.what << ": " << status;
    EXPECT_THAT(FieldOf(status), ::testing::StartsWith(c.field)) << c.what << ": " << status;
    EXPECT_EQ(responses.size(), c.responses) << c.what;
    EXPECT_EQ(network_.Get()->next_step, before + c.responses) << c.what;
  }
}

TEST_P(RunMessagesSuite, AStreamWithoutMessagesEndsWell) {
  const auto [responses, status] = Exchange({});
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(responses.empty());
}

}  // namespace
}  // namespace spikeserve::testing

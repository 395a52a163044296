// Networks that run as their input comes, over every transport: what comes of it.

#include <atomic>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "suites/run_testing.h"

namespace spikeserve::testing {
namespace {

using ::testing::ElementsAre;

class RunSuite : public RunTest {};
SPIKESERVE_OVER_ALL_TRANSPORTS(RunSuite);

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

// The elements of a member of the records `r`, over all parts.
std::vector<char> RecordBytes(const std::vector<std::vector<RecordTensors>>& parts, size_t r,
                              std::optional<Tensor> RecordTensors::*member) {
  std::vector<char> bytes;
  for (const std::vector<RecordTensors>& part : parts) {
    if (const std::optional<Tensor>& tensor = part.at(r).*member) Append(*tensor, bytes);
  }
  return bytes;
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

TEST_P(RunSuite, StepsDropTheTraceAsAForwardThatKeepsNoneDoes) {
  const NetworkHandle network = AllKinds();
  const Tensor input = Random({4, 2, 5});
  ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  auto run = network.Run();
  ASSERT_TRUE(run.ok() && run->Step(input).ok());
  const Tensor gradient = Random({4, 2, 17});
  EXPECT_EQ(network.Backward({.grad_output = gradient}).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace spikeserve::testing

// How calls end that nobody wants any longer, and how the engine does.

#include <atomic>
#include <chrono>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/retry_after.h"
#include "server/engine_testing.h"
#include "spikeserve/v1/networks.pb.h"
#include "support/events.h"

namespace spikeserve::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A similarity loss of so many samples: what is few bytes takes long.
codec::Envelope LongLoss(int samples) {
  v1::SpikeSimilarLossRequest request;
  for (v1::Tensor* tensor : {request.mutable_spikes(), request.mutable_labels()}) {
    tensor->set_dtype(v1::DATA_TYPE_UINT8);
    tensor->add_shape(samples);
    tensor->add_shape(1);
    tensor->set_data(std::string(samples, '\1'));
  }
  request.mutable_kernel()->mutable_linear();
  request.set_loss_type(v1::LOSS_TYPE_MSE);
  return Enveloped(request);
}

TEST(Engine, TellsOfNetworksThatExpire) {
  std::atomic<int64_t> now = 0;
  testing::Events events;
  EngineOptions options;
  options.limits.network_idle_timeout = absl::Milliseconds(400);
  options.clock = [&] { return absl::FromUnixSeconds(now); };
  options.events = events.sink();
  Engine engine(options);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(engine.networks().Add(*Network::Create({{.kind = IfNode{}}}), "alice").ok());
  now = 1;
  EXPECT_THAT(events[0], AllOf(StartsWith("networks removed: they had no calls for --network-idle-timeout"),
                               HasSubstr("networks=2")));
  EXPECT_EQ(engine.statistics().networks_expired, 2);
}

TEST(Engine, EndsACallThatComputesForTooLong) {
  EngineOptions options;
  options.limits.max_compute_time = absl::Nanoseconds(1);
  Engine engine(options);
  const auto request = Request(1000);
  const EnvelopeOr result = Perform(engine, MakeCall(request, nullptr));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("--max-compute-time"));
  EXPECT_FALSE(RetryAfterOf(result.status()).has_value());  // It would be as long again.
}

TEST(Engine, DropsWorkThatIsLateOrCancelledBeforeItIsRead) {
  Engine engine({});
  const auto request = Request(1);
  const auto make_call = [&] {
    Call call = MakeCall(request, nullptr);
    call.request = [](const Message&, BufferPool&) -> absl::StatusOr<const codec::Envelope*> {
      ADD_FAILURE() << "read";
      return absl::InternalError("read");
    };
    return call;
  };
  Call late = make_call();
  late.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(Perform(engine, std::move(late)).status().code(), absl::StatusCode::kDeadlineExceeded);
  Call cancelled = make_call();
  cancelled.cancelled = [] { return true; };
  EXPECT_EQ(Perform(engine, std::move(cancelled)).status().code(), absl::StatusCode::kCancelled);
}

// What the observer is told of how a call went.
class LastTimes final : public CallObserver {
 public:
  void OnEnd(const CallReport& report) override { times = report.times; }
  CallTimes times;
};

TEST(Engine, DropsWorkThatBecomesLateWhileItIsReadWithoutComputing) {
  LastTimes last;
  EngineOptions options;
  options.observer = &last;
  Engine engine(options);
  const auto request = Request(100);
  std::atomic<bool> read = false;
  Call call = MakeCall(request, nullptr);
  call.request = [&](const Message&, BufferPool&) -> absl::StatusOr<const codec::Envelope*> {
    read = true;
    return &request;
  };
  call.cancelled = [&] { return read.load(); };
  EXPECT_EQ(Perform(engine, std::move(call)).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(last.times.compute, absl::ZeroDuration());
}

TEST(Engine, NoticesCancellationInsideOfALongComputation) {
  EngineOptions options;
  options.threads = 1;
  Engine engine(options);
  const auto request = Request(4000);
  Call call = MakeCall(request, nullptr);
  // Wanted when it is read and when it begins, and no longer when the first parts are computed.
  auto asked = std::make_shared<std::atomic<int>>(0);
  call.cancelled = [asked] { return ++*asked > 4; };
  EXPECT_EQ(Perform(engine, std::move(call)).status().code(), absl::StatusCode::kCancelled);
}

// A large layer of one weight, so that a step has parts for several threads and each output is the input's.
codec::Envelope CreateRequest(int features) {
  v1::CreateNetworkRequest request;
  v1::Tensor& weight = *request.add_layers()->mutable_linear()->mutable_weight();
  weight.set_dtype(v1::DATA_TYPE_FLOAT32);
  weight.add_shape(features);
  weight.add_shape(1);
  for (int i = 0; i < features; ++i) weight.add_values(1);
  request.add_layers()->mutable_low_pass_synapse()->set_tau(2);
  return Enveloped(request);
}

template <typename Response>
Response Parsed(const EnvelopeOr& envelope) {
  Response response;
  EXPECT_TRUE(envelope.ok()) << envelope.status();
  if (envelope.ok()) {
    EXPECT_TRUE(response.ParseFromString(testing::Serialized(*envelope)));
  }
  return response;
}

TEST(Engine, AChangeOfANetworkIsCarriedOutWholeWhenItsCallIsCancelledMeanwhile) {
  constexpr int kFeatures = 100'000;
  EngineOptions options;
  options.threads = 2;
  Engine engine(options);
  const auto create = CreateRequest(kFeatures);
  const auto on = [](std::string_view method, const codec::Envelope& request) {
    Call call = MakeCall(request, nullptr);
    call.path = method;
    return call;
  };
  const auto network =
      Parsed<v1::CreateNetworkResponse>(Perform(engine, on("/spikeserve.v1.SpikeNetworkService/CreateNetwork", create)))
          .network();

  // Input is 1 in the first step and 0 in the second, in which the output is what the first one has left.
  const auto step = [&](float value) {
    v1::ForwardRequest request;
    request.set_network(network);
    request.set_single_step(true);
    request.mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT32);
    request.mutable_input()->add_shape(1);
    request.mutable_input()->add_shape(1);
    request.mutable_input()->add_values(value);
    return Enveloped(request);
  };
  const auto one = step(1), zero = step(0);
  Call first = on("/spikeserve.v1.SpikeNetworkService/Forward", one);
  // Wanted when it is read and when it begins, and no longer when the first part is computed.
  auto asked = std::make_shared<std::atomic<int>>(0);
  first.cancelled = [asked] { return ++*asked > 2; };
  Perform(engine, std::move(first)).IgnoreError();
  EXPECT_GE(*asked, 2);
  const auto second =
      Parsed<v1::ForwardResponse>(Perform(engine, on("/spikeserve.v1.SpikeNetworkService/Forward", zero)));
  EXPECT_EQ(second.next_step(), 2u);
  std::vector<float> left(kFeatures);
  ASSERT_EQ(second.output().data().size(), left.size() * sizeof(float));
  std::memcpy(left.data(), second.output().data().data(), second.output().data().size());
  EXPECT_GT(left[0], 0);
  EXPECT_THAT(left, ::testing::Each(left[0]));
}

TEST(Engine, ItsEndWaitsForTheCallsThatWereSubmitted) {
  std::atomic<int> answered = 0;
  const auto request = Request(200);
  {
    Engine engine({});
    for (int i = 0; i < 20; ++i) {
      engine.Submit(MakeCall(request, [&](EnvelopeOr result) {
        EXPECT_TRUE(result.ok());
        ++answered;
      }));
    }
  }
  EXPECT_EQ(answered, 20);
}

// A computation of thousands of loops went on through all of them, and asked in each whether it was still wanted.
TEST(Engine, ACallThatIsGivenUpIsSoonAtItsEnd) {
  EngineOptions options;
  options.threads = 2;
  options.limits.max_pairs = std::numeric_limits<int64_t>::max();
  Engine engine(options);
  const auto request = LongLoss(300'000);
  std::atomic<bool> given_up = false;
  std::atomic<int> asked_in_vain = 0;
  std::promise<EnvelopeOr> promise;
  Call call = MakeCall(request, [&](EnvelopeOr result) { promise.set_value(std::move(result)); });
  call.path = "/spikeserve.v1.SpikeFunctionService/SpikeSimilarLoss";
  call.cancelled = [&] {
    if (given_up) ++asked_in_vain;
    return given_up.load();
  };
  engine.Submit(std::move(call));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // It computes, or is about to: both must end.
  given_up = true;
  EXPECT_EQ(promise.get_future().get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(asked_in_vain, 10);
}

TEST(Engine, DrainEndsTheCallsThatAreLeftAndSaysHowMany) {
  EngineOptions options;
  options.threads = 1;
  options.limits.max_pairs = std::numeric_limits<int64_t>::max();
  Engine engine(options);
  constexpr int kSamples = 300'000;
  const auto request = LongLoss(kSamples);
  std::promise<EnvelopeOr> promise;
  Call call = MakeCall(request, [&](EnvelopeOr result) { promise.set_value(std::move(result)); });
  call.path = "/spikeserve.v1.SpikeFunctionService/SpikeSimilarLoss";
  engine.Submit(std::move(call));
  EXPECT_EQ(engine.Drain(absl::Milliseconds(20)), 1);
  const EnvelopeOr result = promise.get_future().get();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("--drain-timeout"));
  EXPECT_EQ(engine.statistics().calls_in_progress, 0);
  EXPECT_EQ(engine.Drain(absl::ZeroDuration()), 0);
}

TEST(Engine, TellsThatItDrainsFromTheAnnouncementOn) {
  Engine engine({});
  EXPECT_FALSE(engine.statistics().draining);
  engine.AnnounceDrain();
  EXPECT_TRUE(engine.statistics().draining);
  const auto request = Request(1);
  EXPECT_TRUE(Perform(engine, MakeCall(request, nullptr)).ok()) << "it serves on";
}

}  // namespace
}  // namespace spikeserve::server

// What calls may take of the server's memory.

#include <algorithm>
#include <future>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/retry_after.h"
#include "server/engine_testing.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {
namespace {

using ::testing::HasSubstr;

// A tensor of which one element is 1: a few bytes, whatever its shape.
void SetOneEvent(v1::DataType dtype, std::initializer_list<int64_t> shape, v1::Tensor& tensor) {
  tensor.set_dtype(dtype);
  for (const int64_t length : shape) tensor.add_shape(length);
  tensor.add_event_deltas(0);
}

v1::RedundantOneHotRequest OneHot(int64_t labels, int classes) {
  v1::RedundantOneHotRequest request;
  SetOneEvent(v1::DATA_TYPE_UINT8, {labels}, *request.mutable_labels());
  request.set_num_classes(classes);
  request.set_n(1);
  return request;
}

Call CallOf(const char* path, const codec::Envelope& request) {
  Call call = MakeCall(request, nullptr);
  call.path = path;
  call.request_bytes = 100;
  return call;
}

constexpr char kOneHot[] = "/spikeserve.v1.SpikeFunctionService/RedundantOneHot";
constexpr char kCreateNetwork[] = "/spikeserve.v1.SpikeNetworkService/CreateNetwork";

// 8 bytes for each label, while the call computes.
TEST(EngineMemory, WhatIsDecodedIsInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 10 << 20;
  Engine engine(options);
  const auto fits = Enveloped(OneHot(1 << 20, 2));
  const auto does_not = Enveloped(OneHot(2 << 20, 2));
  for (int i = 0; i < 3; ++i) {  // Nothing is left of those that ended.
    EXPECT_TRUE(Perform(engine, CallOf(kOneHot, fits)).ok());
    const absl::Status refused = Perform(engine, CallOf(kOneHot, does_not)).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("--max-bytes-in-flight"));
  }
  EXPECT_EQ(engine.statistics().bytes_in_flight, 0);
}

TEST(EngineMemory, WhatARequestBecomesIsInFlight) {
  Engine engine({});
  auto message = OneHot(1 << 20, 2);
  for (int i = 1; i < 100'000; ++i) message.mutable_labels()->add_event_deltas(1);
  const auto request = Enveloped(message);
  int64_t most = 0;
  Call call = CallOf(kOneHot, request);
  call.request_bytes = 20'000;
  call.cancelled = [&] {
    most = std::max(most, engine.statistics().bytes_in_flight);
    return false;
  };
  EXPECT_TRUE(Perform(engine, std::move(call)).ok());
  // Its events, and the labels that are decoded.
  EXPECT_GE(most, 100'000 * 8 + (8 << 20));
  EXPECT_EQ(engine.statistics().bytes_in_flight, 0);
}

// Where it would not fit into a server that does nothing else, it is no use to try again.
TEST(EngineMemory, WhatNeverFitsIsNotToBeTriedAgain) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 10 << 20;
  Engine engine(options);
  const auto request = Enveloped(OneHot(1 << 20, 2));
  Call call = CallOf(kOneHot, request);
  call.request_bytes = 3 << 20;
  const absl::Status alone = Perform(engine, std::move(call)).status();
  EXPECT_EQ(alone.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfterOf(alone), std::nullopt) << alone;

  class Keeps final : public CallObserver {
   public:
    explicit Keeps(bool& refused) : refused_(refused) {}
    void OnEnd(const CallReport& report) override { refused_ = report.refused; }

   private:
    bool& refused_;
  };
  bool refused = false;
  Keeps observer(refused);
  options.observer = &observer;
  Engine other(options);
  other.CountAnswer(3 << 20);
  const absl::Status with_others = Perform(other, CallOf(kOneHot, request)).status();
  EXPECT_NE(RetryAfterOf(with_others), std::nullopt) << with_others;
  EXPECT_TRUE(refused);
  other.ReleaseAnswer(3 << 20);
}

TEST(EngineMemory, TheBitsThatEventsStandForAreInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 1 << 20;
  Engine engine(options);
  v1::KernelDotProductRequest request;
  SetOneEvent(v1::DATA_TYPE_BIT, {1, 16 << 20}, *request.mutable_x());
  request.mutable_kernel()->mutable_linear();
  const auto envelope = Enveloped(request);
  EXPECT_THAT(std::string(Perform(engine, CallOf(kPath, envelope)).status().message()),
              HasSubstr("--max-bytes-in-flight"));
}

TEST(EngineMemory, TheWeightsOfANetworkThatIsMadeAreInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 1 << 20;
  Engine engine(options);
  v1::CreateNetworkRequest request;
  SetOneEvent(v1::DATA_TYPE_FLOAT32, {1000, 1000}, *request.add_layers()->mutable_linear()->mutable_weight());
  const auto envelope = Enveloped(request);
  EXPECT_THAT(std::string(Perform(engine, CallOf(kCreateNetwork, envelope)).status().message()),
              HasSubstr("--max-bytes-in-flight"));
}

// Neither the few bytes of its request nor the little that there is to compute make it a small one.
TEST(EngineMemory, WhatMakesMuchOfAFewEventsIsNotComputedAtOnce) {
  Engine engine({});
  for (const auto& [labels, at_once] : {std::pair{int64_t{10}, true}, std::pair{int64_t{1} << 20, false}}) {
    const auto request = Enveloped(OneHot(labels, /*classes=*/0));
    const auto caller = std::this_thread::get_id();
    std::promise<std::thread::id> answered_in;
    Call call = MakeCall(request, [&](EnvelopeOr) { answered_in.set_value(std::this_thread::get_id()); });
    call.path = kOneHot;
    call.may_compute_at_once = true;
    call.request_bytes = 50;
    engine.Submit(std::move(call));
    EXPECT_EQ(answered_in.get_future().get() == caller, at_once) << labels;
  }
}

}  // namespace
}  // namespace spikeserve::server

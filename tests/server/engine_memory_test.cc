// What calls may take of the server's memory.

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/retry_after.h"
#include "server/engine_testing.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/training.pb.h"

namespace spikeserve::server {
namespace {

using ::testing::HasSubstr;

// A tensor of which one element is 1: a few bytes, whatever its shape.
void SetOneEvent(v1::DataType dtype, std::initializer_list<int64_t> shape, v1::Tensor& tensor) {
  tensor.set_dtype(dtype);
  for (const int64_t length : shape) tensor.add_shape(length);
  tensor.add_event_deltas(0);
}

void SetShape(v1::DataType dtype, std::initializer_list<int64_t> shape, v1::Tensor& tensor) {
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
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
constexpr char kGetNetwork[] = "/spikeserve.v1.SpikeNetworkService/GetNetwork";
constexpr char kForward[] = "/spikeserve.v1.SpikeNetworkService/Forward";

// A network that nobody owns, on which a call is computed until EndCall.
class BusyNetwork {
 public:
  explicit BusyNetwork(Engine& engine)
      : held_(*engine.networks().Add(*Network::Create({{.kind = IfNode{}}}), /*owner=*/"")) {
    held_->strand->Post([this] { end_.get_future().wait(); });
  }
  const HeldNetwork& held() const { return *held_; }
  void EndCall() { end_.set_value(); }

 private:
  const std::shared_ptr<HeldNetwork> held_;
  std::promise<void> end_;
};

// 8 bytes for each label, and as many for its code, while the call computes.
TEST(EngineMemory, WhatIsDecodedIsInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 20 << 20;
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
  std::atomic<int64_t> most = 0;  // Every thread that computes asks.
  Call call = CallOf(kOneHot, request);
  call.request_bytes = 20'000;
  call.cancelled = [&] {
    const int64_t now = engine.statistics().bytes_in_flight;
    for (int64_t before = most; before < now && !most.compare_exchange_weak(before, now);) {
    }
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

// Eight bytes each, of which four vectors are made.
TEST(EngineMemory, WhatIsMadeOfLayersWithoutTensorsIsInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 10 << 20;
  Engine engine(options);
  v1::CreateNetworkRequest request;
  for (int i = 0; i < 20; ++i) request.add_layers()->mutable_batch_norm2d()->set_num_features(1 << 16);
  EXPECT_THAT(std::string(Perform(engine, CallOf(kCreateNetwork, Enveloped(request))).status().message()),
              HasSubstr("--max-bytes-in-flight"));
  options.limits.max_network_bytes = 10 << 20;
  options.limits.max_bytes_in_flight = 1 << 30;
  Engine other(options);
  EXPECT_THAT(std::string(Perform(other, CallOf(kCreateNetwork, Enveloped(request))).status().message()),
              HasSubstr("--max-network-bytes"));
  EXPECT_EQ(engine.statistics().bytes_in_flight + other.statistics().bytes_in_flight, 0);
}

TEST(EngineMemory, TheThresholdsThatGetNetworkCopiesAreInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 6 << 20;
  Engine engine(options);
  v1::CreateNetworkRequest create;
  SetOneEvent(v1::DATA_TYPE_FLOAT32, {1, 1 << 20},
              *create.add_layers()->mutable_if_node()->mutable_v_threshold_tensor());
  const EnvelopeOr created = Perform(engine, CallOf(kCreateNetwork, Enveloped(create)));
  ASSERT_TRUE(created.ok()) << created.status();
  v1::GetNetworkRequest get;
  get.set_network(static_cast<const v1::CreateNetworkResponse&>(*created->message).network());
  EXPECT_THAT(std::string(Perform(engine, CallOf(kGetNetwork, Enveloped(get))).status().message()),
              HasSubstr("--max-bytes-in-flight"));
}

// A word of 64 bits for up to 36 samples, which are bits themselves.
TEST(EngineMemory, TheColumnsOfALosssGradientAreInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 40 << 20;
  Engine engine(options);
  v1::SpikeSimilarLossRequest request;
  SetShape(v1::DATA_TYPE_BIT, {1, 4 << 20}, *request.mutable_spikes());
  SetShape(v1::DATA_TYPE_BOOL, {1, 1}, *request.mutable_labels());
  request.mutable_kernel()->mutable_linear();
  request.set_loss_type(v1::LOSS_TYPE_MSE);
  constexpr char kLoss[] = "/spikeserve.v1.SpikeFunctionService/SpikeSimilarLoss";
  EXPECT_TRUE(Perform(engine, CallOf(kLoss, Enveloped(request))).ok());
  request.set_compute_gradient(true);
  EXPECT_THAT(std::string(Perform(engine, CallOf(kLoss, Enveloped(request))).status().message()),
              HasSubstr("--max-bytes-in-flight"))
      << "16 MiB of gradient and 32 MiB of columns";
}

// A few bytes each, which become hundreds.
TEST(EngineMemory, ThereAreNoMoreTermsThanAreOfUse) {
  Engine engine({});
  BusyNetwork network(engine);
  network.EndCall();
  v1::BackwardRequest backward;
  backward.set_network(network.held().name);
  for (int i = 0; i < 2; ++i) backward.add_layer_gradients();
  EXPECT_EQ(
      Perform(engine, CallOf("/spikeserve.v1.SpikeTrainingService/Backward", Enveloped(backward))).status().message(),
      "layer_gradients: 2 entries; need at most 1, each layer once");
  v1::TrainStepRequest train;
  train.set_network(network.held().name);
  train.mutable_optimizer()->mutable_sgd()->set_learning_rate(1);
  for (int i = 0; i < 1025; ++i) train.add_losses()->mutable_rate();
  EXPECT_THAT(std::string(Perform(engine, CallOf("/spikeserve.v1.SpikeTrainingService/TrainStep", Enveloped(train)))
                              .status()
                              .message()),
              HasSubstr("losses: 1025 terms; need at most 1024"));
}

TEST(EngineMemory, WhatGetNetworkCopiesIsInFlight) {
  constexpr int64_t kNeurons = 1 << 18;
  EngineOptions options;
  options.limits.max_bytes_in_flight = 16 << 20;
  Engine engine(options);
  v1::CreateNetworkRequest create;
  create.add_layers()->mutable_if_node()->set_monitor(true);
  const EnvelopeOr created = Perform(engine, CallOf(kCreateNetwork, Enveloped(create)));
  ASSERT_TRUE(created.ok());
  v1::CreateNetworkResponse response;
  ASSERT_TRUE(response.ParseFromString(testing::Serialized(*created)));
  v1::ForwardRequest steps;
  const std::string& name = response.network();
  steps.set_network(name);
  SetOneEvent(v1::DATA_TYPE_FLOAT32, {1, 1, kNeurons}, *steps.mutable_input());
  const auto forward = Enveloped(steps);
  v1::GetNetworkRequest get;
  get.set_network(name);
  get.set_include_state(true);
  const auto state = Enveloped(get);
  get.set_include_monitors(true);
  const auto monitors = Enveloped(get);
  // 5 bytes for each neuron and step in the monitor, and as much in the response.
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(Perform(engine, CallOf(kForward, forward)).ok());
  EXPECT_TRUE(Perform(engine, CallOf(kGetNetwork, state)).ok());
  const absl::Status refused = Perform(engine, CallOf(kGetNetwork, monitors)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--max-bytes-in-flight"));
  EXPECT_EQ(engine.statistics().bytes_in_flight, 0);
}

// They are the network's, and would leave no room for any call until it is deleted.
TEST(EngineMemory, RepliesThatAreKeptAreNotInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 10 << 20;
  Engine engine(options);
  v1::CreateNetworkRequest create;
  create.add_layers()->mutable_if_node();
  for (int i = 0; i < 10; ++i) {
    const EnvelopeOr created = Perform(engine, CallOf(kCreateNetwork, Enveloped(create)));
    ASSERT_TRUE(created.ok()) << created.status();
    v1::ForwardRequest forward;
    forward.set_network(static_cast<const v1::CreateNetworkResponse&>(*created->message).network());
    forward.set_step(0);
    // 4 MiB of input, and 1 MiB of output.
    SetOneEvent(v1::DATA_TYPE_FLOAT32, {1, 1, 1 << 20}, *forward.mutable_input());
    const absl::Status status = Perform(engine, CallOf(kForward, Enveloped(forward))).status();
    EXPECT_TRUE(status.ok()) << i << ": " << status;
  }
  EXPECT_GE(engine.networks().Total().bytes, 10 << 20) << "with their replies";
  EXPECT_EQ(engine.statistics().bytes_in_flight, 0);
}

// A million rows of nothing have no elements, and yet a result of megabytes.
TEST(EngineMemory, WhatRowsWithoutElementsBecomeIsInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 10 << 20;
  Engine engine(options);
  const auto expect_refused = [&](const char* path, const Message& message) {
    const auto request = Enveloped(message);
    const auto caller = std::this_thread::get_id();
    std::promise<std::pair<absl::Status, std::thread::id>> ended;
    Call call = MakeCall(request, [&](EnvelopeOr result) {
      ended.set_value({result.status(), std::this_thread::get_id()});
    });
    call.path = path;
    call.may_compute_at_once = true;
    call.request_bytes = 50;
    engine.Submit(std::move(call));
    const auto [status, thread] = ended.get_future().get();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << path;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--max-bytes-in-flight"));
    EXPECT_NE(thread, caller) << path;
  };
  v1::FirstSpikeIndexRequest first_spikes;
  first_spikes.set_index_output(true);
  for (const v1::DataType dtype : {v1::DATA_TYPE_BOOL, v1::DATA_TYPE_BIT, v1::DATA_TYPE_FLOAT32}) {
    SetShape(dtype, {4 << 20, 0}, *first_spikes.mutable_spikes());
    expect_refused("/spikeserve.v1.SpikeFunctionService/FirstSpikeIndex", first_spikes);
  }
  v1::SpikeClusterRequest clusters;
  SetShape(v1::DATA_TYPE_FLOAT32, {0, 1 << 20}, *clusters.mutable_v());
  SetShape(v1::DATA_TYPE_FLOAT32, {}, *clusters.mutable_v_threshold());
  clusters.mutable_v_threshold()->add_values(1);
  expect_refused("/spikeserve.v1.SpikeFunctionService/SpikeCluster", clusters);
  v1::StcaLossRequest loss;
  *loss.mutable_v() = clusters.v();
  *loss.mutable_v_threshold() = clusters.v_threshold();
  *loss.mutable_n_d() = clusters.v_threshold();
  expect_refused("/spikeserve.v1.SpikeFunctionService/StcaLoss", loss);
  v1::KernelDotProductRequest products;
  SetShape(v1::DATA_TYPE_FLOAT32, {2048, 0}, *products.mutable_x());
  products.mutable_kernel()->mutable_linear();
  expect_refused(kPath, products);
  EXPECT_EQ(engine.statistics().bytes_in_flight, 0);
}

// Small calls are computed without asking for room, but not for ever.
TEST(EngineMemory, SmallAnswersThatNobodyTakesHaveAnEnd) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 8 << 20;
  Engine engine(options);
  const auto perform = [&](int classes) {
    const auto request = Enveloped(OneHot(1, classes));
    Call call = CallOf(kOneHot, request);
    call.may_compute_at_once = true;
    return Perform(engine, std::move(call));
  };
  // Of 256 KB, 8 MB are too many.
  std::vector<codec::Envelope> answers;
  for (int i = 0; i < 32; ++i) {
    EnvelopeOr answer = perform(1 << 16);
    ASSERT_TRUE(answer.ok()) << answer.status();
    answers.push_back(*std::move(answer));
  }
  EXPECT_THAT(std::string(perform(1 << 16).status().message()), HasSubstr("--max-bytes-in-flight"));
  // For smaller ones there is an eighth more.
  EXPECT_TRUE(perform(10).ok());
  engine.CountAnswer(1 << 20);
  EXPECT_TRUE(perform(10).ok());
  engine.CountAnswer(1);
  EXPECT_THAT(std::string(perform(10).status().message()), HasSubstr("--max-bytes-in-flight"));
  engine.ReleaseAnswer((1 << 20) + 1);
  answers.clear();
  EXPECT_EQ(engine.statistics().bytes_in_flight, 0);
}

// What a deleted network takes counts no more, so that nobody may make it take more.
TEST(EngineMemory, CallsThatWaitForANetworkThatIsDeletedDoNotFindIt) {
  Engine engine({});
  BusyNetwork network(engine);
  v1::DeleteNetworkRequest remove;
  remove.set_network(network.held().name);
  v1::ForwardRequest forward;
  forward.set_network(network.held().name);
  SetOneEvent(v1::DATA_TYPE_FLOAT32, {1, 1, 100}, *forward.mutable_input());
  const auto first = Enveloped(remove), second = Enveloped(forward);
  std::promise<absl::Status> removed, ran;
  Call call = MakeCall(first, [&](EnvelopeOr result) { removed.set_value(result.status()); });
  call.path = "/spikeserve.v1.SpikeNetworkService/DeleteNetwork";
  engine.Submit(std::move(call));
  // Only one of several threads might overtake the other.
  while (engine.statistics().tasks_waiting > 0 || network.held().line.calls() == 0) std::this_thread::yield();
  call = MakeCall(second, [&](EnvelopeOr result) { ran.set_value(result.status()); });
  call.path = kForward;
  engine.Submit(std::move(call));
  while (network.held().line.calls() < 2) std::this_thread::yield();
  network.EndCall();
  EXPECT_TRUE(removed.get_future().get().ok());
  EXPECT_EQ(ran.get_future().get().code(), absl::StatusCode::kNotFound);
}

// Two bytes each, which become a hundred.
TEST(EngineMemory, WhatASmallRequestBecomesIsInFlightWhileItWaits) {
  Engine engine({});
  BusyNetwork network(engine);

  v1::ForwardRequest forward;
  forward.set_network(network.held().name);
  for (int i = 0; i < 5000; ++i) forward.add_records();
  const auto request = Enveloped(forward);
  std::promise<void> answered;
  Call call = MakeCall(request, [&](EnvelopeOr) { answered.set_value(); });
  call.path = kForward;
  call.request_bytes = 10'000;
  engine.Submit(std::move(call));
  while (network.held().line.calls() == 0) std::this_thread::yield();
  EXPECT_GE(engine.statistics().bytes_in_flight, 5000 * static_cast<int64_t>(sizeof(v1::RecordRequest)));
  network.EndCall();
  answered.get_future().wait();
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

#include "runtime/engine.h"

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/retry_after.h"
#include "server/engine_testing.h"
#include "spikeserve/v1/server.pb.h"

namespace spikeserve::server {
namespace {

using ::testing::HasSubstr;

// The result of a linear kernel.
v1::KernelDotProductResponse Response(const codec::Envelope& envelope) {
  v1::KernelDotProductResponse response;
  EXPECT_TRUE(response.ParseFromString(testing::Serialized(envelope)));
  return response;
}

TEST(Engine, ComputesACall) {
  Engine engine({});
  const auto request = Request(3);
  const EnvelopeOr result = Perform(engine, MakeCall(request, nullptr));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Response(*result).ret().data().size(), 36u);
}

TEST(Engine, ASmallCallIsComputedAtOnceWhereItMayBe) {
  Engine engine({});
  for (const auto& [n, at_once] : {std::pair{3, true}, std::pair{3000, false}}) {
    const auto request = Request(n);
    const auto caller = std::this_thread::get_id();
    std::promise<std::thread::id> answered_in;
    Call call = MakeCall(request, [&](EnvelopeOr result) {
      EXPECT_TRUE(result.ok());
      answered_in.set_value(std::this_thread::get_id());
    });
    call.may_compute_at_once = true;
    call.request_bytes = static_cast<size_t>(n);
    engine.Submit(std::move(call));
    EXPECT_EQ(answered_in.get_future().get() == caller, at_once) << n;
  }
}

TEST(Engine, ASmallCallThatIsWrongIsRefusedAtOnce) {
  Engine engine({});
  const auto request = Enveloped(v1::KernelDotProductRequest());
  Call call = MakeCall(request, nullptr);
  call.may_compute_at_once = true;
  EXPECT_EQ(Perform(engine, std::move(call)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Engine, RefusesCallsOverTheLimitAtOnceAndNamesTheFlag) {
  EngineOptions options;
  options.threads = 1;
  options.limits.max_calls = 2;
  Engine engine(options);
  const auto request = Request(1);
  std::latch go(1);
  std::atomic<int> answered = 0;
  for (int i = 0; i < 2; ++i) {
    Call call = MakeCall(request, [&](EnvelopeOr result) {
      EXPECT_TRUE(result.ok());
      ++answered;
    });
    call.request = [&](const Message&, BufferPool&) {
      go.wait();
      return &request;
    };
    engine.Submit(std::move(call));
  }
  const EnvelopeOr refused = Perform(engine, MakeCall(request, nullptr));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--max-calls"));
  EXPECT_EQ(answered, 0);
  go.count_down();
  while (answered < 2) std::this_thread::yield();
  EXPECT_TRUE(Perform(engine, MakeCall(request, nullptr)).ok());
}

TEST(Engine, RefusesAtOnceWhatWouldWaitForTooLongAndAnswersWhatItHasTaken) {
  EngineOptions options;
  options.threads = 1;
  options.limits.max_queue_delay = absl::ZeroDuration();
  Engine engine(options);
  const auto request = Request(200);
  // Now it is known that a call takes time.
  ASSERT_TRUE(Perform(engine, MakeCall(request, nullptr)).ok());
  std::latch computing(1), go(1);
  std::atomic<int> answered = 0;
  const auto count = [&](EnvelopeOr result) {
    EXPECT_TRUE(result.ok()) << result.status();
    ++answered;
  };
  Call held = MakeCall(request, count);
  held.request = [&](const Message&, BufferPool&) {
    computing.count_down();
    go.wait();
    return &request;
  };
  engine.Submit(std::move(held));
  computing.wait();
  engine.Submit(MakeCall(request, count));  // One may wait.
  for (int i = 0; i < 10; ++i) {
    const EnvelopeOr refused = Perform(engine, MakeCall(request, nullptr));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--max-queue-delay"));
    EXPECT_TRUE(RetryAfterOf(refused.status()).has_value());
  }
  // What takes next to no time is answered all the same.
  const auto empty = Enveloped(v1::ServerStatisticsRequest());
  Call statistics = MakeCall(empty, nullptr);
  statistics.path = "/spikeserve.v1.SpikeServerService/ServerStatistics";
  statistics.may_compute_at_once = true;
  EXPECT_TRUE(Perform(engine, std::move(statistics)).ok());
  EXPECT_EQ(answered, 0);
  go.count_down();
  while (answered < 2) std::this_thread::yield();
}

TEST(Engine, RefusesARequestWhoseBytesWouldBeTooManyInFlight) {
  EngineOptions options;
  options.limits.max_bytes_in_flight = 1000;
  Engine engine(options);
  const auto request = Request(1);
  for (int i = 0; i < 3; ++i) {  // Nothing is left of those that ended.
    for (const size_t bytes : {1000, 1001}) {
      Call call = MakeCall(request, nullptr);
      call.request_bytes = bytes;
      EXPECT_EQ(Perform(engine, std::move(call)).ok(), bytes <= 1000);
    }
  }
}

// What a request was read from goes when it is read, so that it counts once, and a call may take all there may be.
TEST(Engine, ARequestThatIsReadCountsOnce) {
  const auto request = [] {
    v1::KernelDotProductRequest message;
    message.mutable_x()->set_dtype(v1::DATA_TYPE_BOOL);
    message.mutable_x()->add_shape(1);
    message.mutable_x()->add_shape(1 << 20);
    message.mutable_x()->set_data(std::string(1 << 20, '\1'));
    message.mutable_kernel()->mutable_linear();
    return message;
  }();
  EngineOptions options;
  options.limits.max_bytes_in_flight = (1 << 20) + (1 << 19);
  Engine engine(options);
  codec::Envelope read;
  Call call;
  call.path = kPath;
  call.request_bytes = request.ByteSizeLong();
  call.request = [&](const Message&, BufferPool& buffers) -> absl::StatusOr<const codec::Envelope*> {
    read = *testing::ToEnvelope(request, buffers);
    return &read;
  };
  const EnvelopeOr result = Perform(engine, std::move(call));
  EXPECT_TRUE(result.ok()) << result.status();
  read = {};
  EXPECT_EQ(engine.statistics().bytes_in_flight, 0);
}

TEST(Engine, ARequestThatThrowsEndsTheCallAndNotTheServer) {
  Engine engine({});
  const auto request = Request(1);
  Call call = MakeCall(request, nullptr);
  call.request = [](const Message&, BufferPool&) -> absl::StatusOr<const codec::Envelope*> { throw std::bad_alloc(); };
  EXPECT_EQ(Perform(engine, std::move(call)).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Perform(engine, MakeCall(request, nullptr)).ok());
}

// Keeps what it is told.
class Recorder : public CallObserver {
 public:
  struct Entry {
    std::string path;
    std::string identity;
    absl::StatusCode code;
    bool refused;
    CallTimes times;
    absl::Duration total;
    int64_t request_bytes;
  };

  void OnEnd(const CallReport& report) override {
    const std::lock_guard lock(mutex_);
    entries_.push_back({std::string(report.path), report.caller.identity, report.status.code(), report.refused,
                        report.times, report.total, report.request_bytes});
  }

  std::vector<Entry> entries() {
    const std::lock_guard lock(mutex_);
    return entries_;
  }

 private:
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

TEST(Engine, TellsItsObserverOfEachCallBeforeTheCallIsFinished) {
  Recorder recorder;
  EngineOptions options;
  options.observer = &recorder;
  Engine engine(options);
  const auto request = Request(500);
  Call call = MakeCall(request, nullptr);
  call.caller.identity = "alice";
  call.request_bytes = 500;
  ASSERT_TRUE(Perform(engine, std::move(call)).ok());
  ASSERT_EQ(recorder.entries().size(), 1u);
  const Recorder::Entry entry = recorder.entries()[0];
  EXPECT_EQ(entry.path, kPath);
  EXPECT_EQ(entry.identity, "alice");
  EXPECT_EQ(entry.code, absl::StatusCode::kOk);
  EXPECT_FALSE(entry.refused);
  EXPECT_EQ(entry.request_bytes, 500);
  const CallTimes& times = entry.times;
  EXPECT_GT(times.compute, absl::ZeroDuration());
  // Nothing is counted twice.
  EXPECT_LE(times.queue + times.decode + times.compute + times.encode, entry.total);
}

TEST(Engine, TellsItsObserverOfCallsThatCameToNothing) {
  Recorder recorder;
  EngineOptions options;
  options.observer = &recorder;
  options.limits.max_calls = 1;
  Engine engine(options);
  const auto request = Request(1);
  Call unknown = MakeCall(request, nullptr);
  unknown.path = "/no.such/Method";
  Perform(engine, std::move(unknown)).IgnoreError();

  std::promise<void> begun, go;
  std::promise<EnvelopeOr> held;
  Call holding = MakeCall(request, nullptr);
  holding.request = [&](const Message&, BufferPool&) -> absl::StatusOr<const codec::Envelope*> {
    begun.set_value();
    go.get_future().wait();
    return absl::InvalidArgumentError("bad");
  };
  testing::OnFinish(holding, [&](EnvelopeOr result) { held.set_value(std::move(result)); });
  engine.Submit(std::move(holding));
  begun.get_future().wait();
  Perform(engine, MakeCall(request, nullptr)).IgnoreError();
  go.set_value();
  held.get_future().wait();

  const std::vector<Recorder::Entry> entries = recorder.entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].path, "");  // What anybody may make up is no label.
  EXPECT_EQ(entries[0].code, absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(entries[1].refused);
  EXPECT_EQ(entries[1].code, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(entries[2].code, absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(entries[2].refused);
}

TEST(Engine, ResultsDoNotDependOnTheNumberOfThreads) {
  v1::KernelDotProductRequest request;
  request.mutable_x()->set_dtype(v1::DATA_TYPE_FLOAT32);
  request.mutable_x()->add_shape(70);
  request.mutable_x()->add_shape(33);
  for (int i = 0; i < 70 * 33; ++i) request.mutable_x()->add_values(std::sin(i));
  request.mutable_kernel()->mutable_gaussian()->set_sigma(3);
  const codec::Envelope enveloped = Enveloped(request);
  std::vector<std::string> results;
  for (int threads : {1, 2, 5}) {
    EngineOptions options;
    options.threads = threads;
    Engine engine(options);
    const EnvelopeOr result = Perform(engine, MakeCall(enveloped, nullptr));
    ASSERT_TRUE(result.ok()) << result.status();
    results.push_back(testing::Serialized(*result));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Engine, EveryMethodOfTheServicesIsInItsTable) {
  size_t methods = 0, streams = 0;
  for (const char* name :
       {"spikeserve.v1.SpikeFunctionService", "spikeserve.v1.SpikeNetworkService", "spikeserve.v1.SpikeTrainingService",
        "spikeserve.v1.SpikeStreamService", "spikeserve.v1.SpikeServerService"}) {
    // The generated code registers its files when it is linked, and it is through the request types.
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    ASSERT_NE(service, nullptr);
    for (int i = 0; i < service->method_count(); ++i) {
      const auto* method = service->method(i);
      const std::string path = "/" + service->full_name() + "/" + method->name();
      const google::protobuf::Message* prototype = nullptr;
      if (method->client_streaming()) {
        ++streams;
        const auto it = StreamMethods().find(path);
        if (it != StreamMethods().end()) prototype = it->second.request_prototype;
      } else {
        ++methods;
        const auto it = Methods().find(path);
        if (it != Methods().end()) prototype = it->second.request_prototype;
      }
      ASSERT_NE(prototype, nullptr) << path;
      EXPECT_EQ(prototype->GetDescriptor(), method->input_type());
    }
  }
  EXPECT_EQ(Methods().size(), methods);
  EXPECT_EQ(StreamMethods().size(), streams);
}

}  // namespace
}  // namespace spikeserve::server

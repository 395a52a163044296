#include "runtime/engine.h"

#include <atomic>
#include <future>
#include <latch>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve::server {
namespace {

using ::testing::HasSubstr;

constexpr char kPath[] = "/spikeserve.v1.SpikeFunctionService/KernelDotProduct";

// A linear kernel of n samples with one feature each.
v1::KernelDotProductRequest Request(int n) {
  v1::KernelDotProductRequest request;
  request.mutable_x()->set_dtype(v1::DATA_TYPE_BOOL);
  request.mutable_x()->add_shape(n);
  request.mutable_x()->add_shape(1);
  request.mutable_x()->set_data(std::string(n, '\1'));
  request.mutable_kernel()->mutable_linear();
  return request;
}

Call MakeCall(const Message& request, std::function<void(MessageOr)> done) {
  Call call;
  call.path = kPath;
  call.request = [&request](const Message&) { return &request; };
  call.done = std::move(done);
  return call;
}

MessageOr Perform(Engine& engine, Call call) {
  std::promise<MessageOr> promise;
  call.done = [&](MessageOr result) { promise.set_value(std::move(result)); };
  engine.Submit(std::move(call));
  return promise.get_future().get();
}

TEST(Engine, ComputesACall) {
  Engine engine({});
  const auto request = Request(3);
  const MessageOr result = Perform(engine, MakeCall(request, nullptr));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(static_cast<v1::KernelDotProductResponse&>(**result).ret().data().size(), 36u);
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
    Call call = MakeCall(request, [&](MessageOr result) {
      EXPECT_TRUE(result.ok());
      ++answered;
    });
    call.request = [&](const Message&) {
      go.wait();
      return &request;
    };
    engine.Submit(std::move(call));
  }
  const MessageOr refused = Perform(engine, MakeCall(request, nullptr));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--max-calls"));
  EXPECT_EQ(answered, 0);
  go.count_down();
  while (answered < 2) std::this_thread::yield();
  EXPECT_TRUE(Perform(engine, MakeCall(request, nullptr)).ok());
}

TEST(Engine, DropsWorkThatIsLateOrCancelledWithoutComputing) {
  Engine engine({});
  const auto request = Request(1);
  Call late = MakeCall(request, nullptr);
  late.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(Perform(engine, std::move(late)).status().code(), absl::StatusCode::kDeadlineExceeded);
  Call cancelled = MakeCall(request, nullptr);
  cancelled.cancelled = [] { return true; };
  EXPECT_EQ(Perform(engine, std::move(cancelled)).status().code(), absl::StatusCode::kCancelled);
}

TEST(Engine, NoticesCancellationInsideOfALongComputation) {
  EngineOptions options;
  options.threads = 1;
  Engine engine(options);
  const auto request = Request(4000);
  Call call = MakeCall(request, nullptr);
  // Wanted when it begins, and no longer when the first parts are computed.
  auto asked = std::make_shared<std::atomic<int>>(0);
  call.cancelled = [asked] { return ++*asked > 3; };
  EXPECT_EQ(Perform(engine, std::move(call)).status().code(), absl::StatusCode::kCancelled);
}

TEST(Engine, ARequestThatThrowsEndsTheCallAndNotTheServer) {
  Engine engine({});
  const auto request = Request(1);
  Call call = MakeCall(request, nullptr);
  call.request = [](const Message&) -> absl::StatusOr<const Message*> { throw std::bad_alloc(); };
  EXPECT_EQ(Perform(engine, std::move(call)).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Perform(engine, MakeCall(request, nullptr)).ok());
}

TEST(Engine, ItsEndWaitsForTheCallsThatWereSubmitted) {
  std::atomic<int> answered = 0;
  const auto request = Request(200);
  {
    Engine engine({});
    for (int i = 0; i < 20; ++i) {
      engine.Submit(MakeCall(request, [&](MessageOr result) {
        EXPECT_TRUE(result.ok());
        ++answered;
      }));
    }
  }
  EXPECT_EQ(answered, 20);
}

TEST(Engine, ResultsDoNotDependOnTheNumberOfThreads) {
  v1::KernelDotProductRequest request;
  request.mutable_x()->set_dtype(v1::DATA_TYPE_FLOAT32);
  request.mutable_x()->add_shape(70);
  request.mutable_x()->add_shape(33);
  for (int i = 0; i < 70 * 33; ++i) request.mutable_x()->add_values(std::sin(i));
  request.mutable_kernel()->mutable_gaussian()->set_sigma(3);
  std::vector<std::string> results;
  for (int threads : {1, 2, 5}) {
    EngineOptions options;
    options.threads = threads;
    Engine engine(options);
    const MessageOr result = Perform(engine, MakeCall(request, nullptr));
    ASSERT_TRUE(result.ok()) << result.status();
    results.push_back((*result)->SerializeAsString());
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Engine, EveryMethodOfTheServicesIsInTheTable) {
  size_t methods = 0;
  for (const char* name : {"spikeserve.v1.SpikeFunctionService", "spikeserve.v1.SpikeNetworkService"}) {
    // The generated code registers its files when it is linked, and it is through the request types.
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    ASSERT_NE(service, nullptr);
    for (int i = 0; i < service->method_count(); ++i, ++methods) {
      const auto* method = service->method(i);
      const auto it = Methods().find("/" + service->full_name() + "/" + method->name());
      ASSERT_NE(it, Methods().end()) << method->full_name();
      EXPECT_EQ(it->second.request_prototype->GetDescriptor(), method->input_type());
    }
  }
  EXPECT_EQ(Methods().size(), methods);
}

}  // namespace
}  // namespace spikeserve::server

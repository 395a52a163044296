#include "rpc/server.h"

#include <netdb.h>

#include <algorithm>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpc/grpc.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "rpc/listening.h"
#include "rpc/rich_status.h"
#include "runtime/retry_after.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/health.h"
#include "spikeserve/v1/functions.grpc.pb.h"
#include "spikeserve/v1/rich_error.pb.h"
#include "spikeserve/v1/streams.grpc.pb.h"
#include "support/generic_call.h"
#include "support/test_folder.h"

namespace spikeserve::rpc {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Server> StartOn(std::vector<std::string> listen) {
  ServerOptions options;
  options.listen = std::move(listen);
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(Server, ListensOnSeveralAddressesAndFillsInFreePorts) {
  const testing::TestFolder folder;
  const std::string path = "unix:" + folder.Path("socket");
  const auto server = StartOn({"127.0.0.1:0", path});
  ASSERT_EQ(server->addresses().size(), 2u);
  EXPECT_THAT(server->addresses()[0], ::testing::MatchesRegex("127.0.0.1:[1-9][0-9]*"));
  EXPECT_EQ(server->addresses()[1], path);
  for (const std::string& address : server->addresses()) {
    EXPECT_TRUE(CheckHealth(address, absl::Seconds(10)).ok()) << address;
  }
}

// gRPC 1.51 may need ten seconds to shut itself down.
TEST(Server, TheLastOneThatGoesDoesNotShutGrpcDown) {
  StartOn({"127.0.0.1:0"}).reset();
  EXPECT_TRUE(grpc_is_initialized());
}

TEST(Server, ATakenPortIsRefusedAndNamed) {
  const auto first = StartOn({"127.0.0.1:0"});
  ServerOptions options;
  options.listen = first->addresses();
  const auto second = Server::Start(options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(first->addresses()[0]));
}

std::string PortOf(const std::string& address) { return address.substr(address.rfind(':')); }

TEST(Server, AFreePortIsTold) {
  for (const char* address : {"127.0.0.1:0", "127.0.0.1:00"}) {
    const std::string port = PortOf(StartOn({address})->addresses()[0]);
    EXPECT_THAT(port, ::testing::MatchesRegex(":[1-9][0-9]+"));
  }
}

TEST(Server, APortIsFreeUnlessSomebodyListensThere) {
  const auto server = StartOn({"127.0.0.1:0"});
  const std::string port = PortOf(server->addresses()[0]);
  const absl::Status taken = CheckPortFree("127.0.0.1" + port);
  EXPECT_EQ(taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(taken.message()), HasSubstr("127.0.0.1" + port + ": Address already in use"));
  EXPECT_TRUE(CheckPortFree("127.0.0.2" + port).ok());
  // Whether gRPC can listen there is gRPC's to find out: this machine may have others of a name's addresses.
  EXPECT_TRUE(CheckPortFree("192.0.2.1" + port).ok());
  EXPECT_TRUE(CheckPortFree("127.0.0.1:0").ok());
  EXPECT_TRUE(CheckPortFree("unix:/no/such/directory/socket").ok());
}

bool LocalhostIsBothLoopbacks() {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo("localhost", "1", &hints, &found) != 0) return false;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  bool v4 = false, v6 = false;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    (one->ai_family == AF_INET6 ? v6 : v4) = true;
  }
  return v4 && v6;
}

// gRPC is content with one of a name's addresses, and whoever has the other gets half of the calls.
TEST(Server, APortThatIsTakenOnOneOfANamesAddressesIsRefused) {
  if (!LocalhostIsBothLoopbacks()) GTEST_SKIP() << "localhost has one address here";
  const auto first = StartOn({"127.0.0.1:0"});
  ServerOptions options;
  options.listen = {"localhost" + PortOf(first->addresses()[0])};
  const absl::Status status = Server::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Address already in use"));
}

TEST(Server, AnAddressThatIsNoneIsRefused) {
  for (const char* address : {"nonsense", "127.0.0.1:99999", "unix:/no/such/directory/socket"}) {
    ServerOptions options;
    options.listen = {address};
    EXPECT_FALSE(Server::Start(options).ok()) << address;
  }
}

TEST(Server, AFailedCallCarriesTheFieldInTheRichErrorTrailer) {
  const auto server = StartOn({"127.0.0.1:0"});
  const auto stub = v1::SpikeFunctionService::NewStub(
      grpc::CreateChannel(server->addresses()[0], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::SpikeClusterRequest request;
  v1::SpikeClusterResponse response;
  const grpc::Status status = stub->SpikeCluster(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::RichStatus rich;
  ASSERT_TRUE(rich.ParseFromString(status.error_details()));
  EXPECT_EQ(rich.code(), 3);
  EXPECT_EQ(rich.message(), status.error_message());
  ASSERT_EQ(rich.details_size(), 1);
  EXPECT_EQ(rich.details(0).type_url(), "type.googleapis.com/google.rpc.BadRequest");
  v1::BadRequest bad_request;
  ASSERT_TRUE(bad_request.ParseFromString(rich.details(0).value()));
  EXPECT_EQ(bad_request.field_violations(0).field(), "v");
  EXPECT_EQ(bad_request.field_violations(0).description(), "absent; need a tensor");
}

// In both places where clients look for it.
void ExpectTellsWhenToTryAgain(const grpc::Status& status, const grpc::ClientContext& context) {
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::RichStatus rich;
  ASSERT_TRUE(rich.ParseFromString(status.error_details()));
  ASSERT_EQ(rich.details_size(), 1);
  EXPECT_EQ(rich.details(0).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
  v1::RetryInfo retry_info;
  ASSERT_TRUE(retry_info.ParseFromString(rich.details(0).value()));
  EXPECT_EQ(retry_info.retry_delay().seconds(), 0);
  EXPECT_EQ(retry_info.retry_delay().nanos(), 10'000'000);
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()), "10");
  // And our client hears it.
  const absl::Status absl_status = FromGrpc(status);
  EXPECT_EQ(server::RetryAfterOf(absl_status), absl::Milliseconds(10));
}

// A client that believed it would try again without a pause, for ever.
TEST(RichStatus, ADelayThatIsNoneIsOneAllTheSame) {
  v1::RetryInfo retry_info;
  retry_info.mutable_retry_delay()->set_seconds(-1);
  v1::RichStatus rich;
  google::protobuf::Any& detail = *rich.add_details();
  detail.set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  detail.set_value(retry_info.SerializeAsString());
  const grpc::Status status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", rich.SerializeAsString());
  EXPECT_EQ(server::RetryAfterOf(FromGrpc(status)), absl::Milliseconds(1));
}

TEST(Server, ARefusedCallTellsWhenToTryAgain) {
  ServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.engine.limits.max_calls = 0;
  const auto server = *Server::Start(options);
  const auto channel = grpc::CreateChannel(server->addresses()[0], grpc::InsecureChannelCredentials());
  {
    SCOPED_TRACE("one message");
    const auto stub = v1::SpikeFunctionService::NewStub(channel);
    grpc::ClientContext context;
    v1::SpikeClusterResponse response;
    const grpc::Status status = stub->SpikeCluster(&context, {}, &response);
    ExpectTellsWhenToTryAgain(status, context);
  }
  {
    SCOPED_TRACE("a stream");
    const auto stub = v1::SpikeStreamService::NewStub(channel);
    grpc::ClientContext context;
    const grpc::Status status = stub->StreamSpikeCluster(&context)->Finish();
    ExpectTellsWhenToTryAgain(status, context);
  }
}

TEST(Server, DrainAnswersTheAcceptedCallsAndRefusesNewOnes) {
  // The first call that asks for the time is under way until `go`.
  std::latch under_way(1), go(1);
  std::once_flag first;
  ServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.engine.clock = [&] {
    if (server::ComputePool::InTask()) {
      std::call_once(first, [&] {
        under_way.count_down();
        go.wait();
      });
    }
    return absl::Now();
  };
  const auto server = *Server::Start(options);
  const std::string address = server->addresses()[0];
  const auto client = Client::Connect(address, {.retry = {.max_attempts = 1}});
  ASSERT_TRUE(client.ok());
  auto running = client->Async(ListNetworksArgs{});
  under_way.wait();
  auto drained = std::async(std::launch::async, [&] { return server->Drain(absl::Seconds(60)); });
  while (CheckHealth(address, absl::Seconds(5)).code() != absl::StatusCode::kUnavailable) {
  }
  go.count_down();
  EXPECT_EQ(drained.get(), 0);
  EXPECT_TRUE(running.get().ok());
  EXPECT_EQ(client->ListNetworks().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CheckHealth(address, absl::Seconds(5)).code(), absl::StatusCode::kUnavailable);
}

// gRPC would answer it by itself, and whoever looks at the metrics would not see that somebody calls what is not there.
TEST(Server, ACallOfAMethodThatThereIsNoneOfIsAnsweredAndCounted) {
  const auto server = StartOn({"127.0.0.1:0"});
  const auto channel = grpc::CreateChannel(server->addresses()[0], grpc::InsecureChannelCredentials());
  for (const char* path : {"/spikeserve.v1.SpikeFunctionService/SpikeClusters", "/other.Service/Method"}) {
    grpc::ClientContext context;
    const grpc::Status status = testing::CallUnary(channel, path, /*request=*/"", context);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_THAT(status.error_message(), HasSubstr(path));
  }
  const server::Statistics statistics = server->engine().statistics();
  const server::MethodCounts& other = statistics.methods.back();
  EXPECT_EQ(other.method, "other");
  EXPECT_EQ(other.calls[static_cast<size_t>(grpc::StatusCode::UNIMPLEMENTED)], 2);
}

// A call whose steps are made one by one, each awaited.
struct OpenCall {
  OpenCall(const Server& server, const std::string& path)
      : stub(grpc::CreateChannel(server.addresses()[0], grpc::InsecureChannelCredentials())),
        call(stub.PrepareCall(&context, path, &queue)) {
    call->StartCall(nullptr);
    Await();
  }
  // Waits for the step that was begun; false: it failed.
  bool Await() {
    void* tag;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  }
  grpc::GenericClientAsyncReaderWriter* operator->() const { return call.get(); }

  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  grpc::GenericStub stub;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
};

// A client that is gone, or has ended the call, before its request has come: not the server's fault.
TEST(Server, ACallWithoutAMessageIsItsCallersMistake) {
  const auto server = StartOn({"127.0.0.1:0"});
  OpenCall call(*server, "/spikeserve.v1.SpikeFunctionService/SpikeCluster");
  call->WritesDone(nullptr);
  call.Await();
  grpc::Status status;
  call->Finish(&status, nullptr);
  call.Await();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_EQ(status.error_message(), "no message came with the call");
}

TEST(Server, ReflectionListsTheServices) {
  const auto server = StartOn({"127.0.0.1:0"});
  OpenCall call(*server, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  // ServerReflectionRequest{list_services: ""}: field 7, empty.
  const grpc::Slice request("\x3a\x00", 2);
  call->Write(grpc::ByteBuffer(&request, 1), nullptr);
  call.Await();
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  ASSERT_TRUE(call.Await());
  grpc::Slice bytes;
  ASSERT_TRUE(response.DumpToSingleSlice(&bytes).ok());
  const std::string text(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  for (const char* service :
       {"spikeserve.v1.SpikeFunctionService", "spikeserve.v1.SpikeNetworkService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(text, HasSubstr(service));
  }
  call.context.TryCancel();
}

}  // namespace
}  // namespace spikeserve::rpc

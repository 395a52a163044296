// Who calls: what a server with tokens or client certificates lets through, and that networks are their owners'.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "google/protobuf/message.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "identity/tokens.h"
#include "rpc/server.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/health.h"
#include "spikeserve/v1/networks.grpc.pb.h"
#include "spikeserve/v1/server.grpc.pb.h"
#include "spikeserve/v1/training.grpc.pb.h"
#include "support/certificates.h"
#include "support/test_folder.h"

namespace spikeserve::rpc {
namespace {

using ::spikeserve::testing::CertificateAuthority;
using ::spikeserve::testing::CertificateRequest;
using ::spikeserve::testing::KeyPair;
using ::spikeserve::testing::WriteTestFile;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

std::unique_ptr<Server> StartServer(const ServerOptions& options) {
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

// With the tokens "alice-token" and "bob-token", of alice and bob.
class TokenServerTest : public ::testing::Test {
 protected:
  ServerOptions Options() const {
    ServerOptions options;
    options.listen = {"127.0.0.1:0", "unix:" + folder_.Path("socket")};
    options.tokens = WriteTestFile("identity-tokens", absl::StrCat(identity::TokenLine("alice", "alice-token"), "\n",
                                                                   identity::TokenLine("bob", "bob-token"), "\n"));
    options.engine.limits.max_networks_per_identity = 2;
    return options;
  }

  std::string address(size_t listener = 0) const { return server_->addresses()[listener]; }
  Client ClientWith(const std::string& token) { return *Client::Connect(address(), {.token = token}); }
  std::shared_ptr<grpc::Channel> NewChannel() {
    return grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
  }

  const testing::TestFolder folder_;
  const std::unique_ptr<Server> server_ = StartServer(Options());
};

std::vector<LayerSpec> OneNeuron() { return {{.name = "neuron", .kind = IfNode{}}}; }

TEST_F(TokenServerTest, ACallWithoutAGoodTokenIsUnauthenticated) {
  const auto channel = NewChannel();
  const auto server = v1::SpikeServerService::NewStub(channel);
  const auto networks = v1::SpikeNetworkService::NewStub(channel);
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {""},
                                                       {"alice-token"},
                                                       {"Bearer"},
                                                       {"Bearer "},
                                                       {"Bearer a"},
                                                       {"Bearer alice-token x"},
                                                       {"Basic alice-token"},
                                                       {"Beareralice-token"},
                                                       {"Bearer alice"},
                                                       {"Bearer alice-token", "Bearer alice-token"}};
  for (const std::vector<std::string>& values : wrong) {
    const auto expect = [&](const grpc::Status& status) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << ::testing::PrintToString(values);
      EXPECT_THAT(status.error_message(), HasSubstr("need \"Bearer TOKEN\""));
      for (const char* secret : {"alice", "bob"}) EXPECT_THAT(status.error_message(), Not(HasSubstr(secret)));
    };
    grpc::ClientContext call, stream;
    for (const std::string& value : values) {
      call.AddMetadata("authorization", value);
      stream.AddMetadata("authorization", value);
    }
    v1::ServerStatisticsResponse response;
    expect(server->ServerStatistics(&call, {}, &response));
    const auto run = networks->Run(&stream);
    v1::RunResponse step;
    EXPECT_FALSE(run->Read(&step));
    expect(run->Finish());
  }
}

TEST_F(TokenServerTest, TheSchemeIsInLettersOfEitherCase) {
  const auto stub = v1::SpikeServerService::NewStub(NewChannel());
  for (const char* scheme : {"Bearer ", "bearer ", "BEARER  "}) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", absl::StrCat(scheme, "bob-token"));
    v1::ServerStatisticsResponse response;
    EXPECT_TRUE(stub->ServerStatistics(&context, {}, &response).ok()) << scheme;
  }
}

TEST_F(TokenServerTest, HealthChecksNeedNoTokenAndUnixSocketsDo) {
  for (const std::string& address : server_->addresses()) {
    EXPECT_TRUE(CheckHealth(address, absl::Seconds(10)).ok()) << address;
    EXPECT_EQ(Client::Connect(address)->ListNetworks().status().code(), absl::StatusCode::kUnauthenticated);
    EXPECT_TRUE(Client::Connect(address, {.token = "bob-token"})->ListNetworks().ok());
  }
}

TEST_F(TokenServerTest, TheClientSendsItsTokenWithCallsInPiecesAndStreams) {
  const Client client = *Client::Connect(address(), {.token = "alice-token", .stream_above_bytes = 0});
  const RowMatrix<float> v = RowMatrix<float>::Random(10, 3);
  EXPECT_TRUE(client.SpikeCluster({.v = v, .v_threshold = 1.0f}).ok());
  const auto network = client.CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok()) << network.status();
  auto run = network->Run();
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_TRUE(run->SendReset().ok());
  EXPECT_TRUE(run->Receive().ok());
}

// The status of a call of `method` with the field `network` of its request set.
absl::Status CallOn(const std::string& network, const google::protobuf::MethodDescriptor& method,
                    const std::shared_ptr<grpc::Channel>& channel, const std::string& token) {
  const std::unique_ptr<google::protobuf::Message> request(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
  google::protobuf::Message* named = request.get();
  if (const auto* open = named->GetDescriptor()->FindFieldByName("open"); open != nullptr) {
    named = named->GetReflection()->MutableMessage(named, open);
  }
  named->GetReflection()->SetString(named, named->GetDescriptor()->FindFieldByName("network"), network);
  const std::string serialized = request->SerializeAsString();
  const grpc::Slice slice(serialized);
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token);
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto wait = [&queue] {
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
  };
  // A unary call is a stream of one message each.
  const auto call =
      stub.PrepareCall(&context, absl::StrCat("/", method.service()->full_name(), "/", method.name()), &queue);
  call->StartCall(nullptr);
  wait();
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  wait();
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  wait();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

TEST_F(TokenServerTest, AnotherCallersNetworkDoesNotExistInAnyCall) {
  const Client alice = ClientWith("alice-token");
  const auto network = alice.CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok()) << network.status();
  const std::string absent(32, '0');
  const auto channel = NewChannel();
  int methods = 0;
  const auto* const pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* name : {"spikeserve.v1.SpikeNetworkService", "spikeserve.v1.SpikeTrainingService"}) {
    const google::protobuf::ServiceDescriptor* const service = pool->FindServiceByName(name);
    ASSERT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i) {
      const google::protobuf::MethodDescriptor& method = *service->method(i);
      if (method.name() == "CreateNetwork" || method.name() == "ListNetworks") continue;
      ++methods;
      const absl::Status others = CallOn(network->name(), method, channel, "bob-token");
      const absl::Status nobodys = CallOn(absent, method, channel, "bob-token");
      EXPECT_EQ(others.code(), absl::StatusCode::kNotFound) << method.full_name();
      EXPECT_EQ(absl::StrReplaceAll(others.message(), {{network->name(), absent}}), nobodys.message());
      if (method.name() == "DeleteNetwork") continue;
      EXPECT_NE(CallOn(network->name(), method, channel, "alice-token").code(), absl::StatusCode::kNotFound)
          << method.full_name();
    }
  }
  EXPECT_GE(methods, 11);
  EXPECT_TRUE(network->Get().ok()) << "bob has not deleted it";
}

TEST_F(TokenServerTest, CallersSeeOnlyTheirNetworksAndStatisticsCountAll) {
  const Client alice = ClientWith("alice-token"), bob = ClientWith("bob-token");
  const auto a = alice.CreateNetwork(OneNeuron()), b = bob.CreateNetwork(OneNeuron());
  ASSERT_TRUE(a.ok() && b.ok());
  const auto list = bob.ListNetworks();
  ASSERT_TRUE(list.ok());
  ASSERT_THAT(*list, SizeIs(1));
  EXPECT_EQ((*list)[0].network, b->name());
  EXPECT_EQ(bob.ServerStatistics()->networks, 2);
}

TEST_F(TokenServerTest, ALimitOfOneCallersNetworksLeavesRoomForOthers) {
  const Client alice = ClientWith("alice-token"), bob = ClientWith("bob-token");
  const auto a = alice.CreateNetwork(OneNeuron()), b = alice.CreateNetwork(OneNeuron());
  ASSERT_TRUE(a.ok() && b.ok());
  const auto over = alice.CreateNetwork(OneNeuron());
  EXPECT_EQ(over.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(over.status().message()), HasSubstr("--max-networks-per-identity"));
  EXPECT_TRUE(bob.CreateNetwork(OneNeuron()).ok());
}

// With client certificates, and without tokens.
class CertificateServerTest : public ::testing::Test {
 protected:
  ServerOptions Options() {
    const KeyPair pair = authority_.Issue();
    ServerOptions options;
    options.listen = {"127.0.0.1:0", "unix:" + folder_.Path("socket")};
    options.tls = {.certificate = WriteTestFile("mutual.pem", pair.certificate),
                   .key = WriteTestFile("mutual.key", pair.key),
                   .client_ca = WriteTestFile("mutual-ca.pem", authority_.certificate())};
    return options;
  }

  Client ClientOf(const KeyPair& pair) {
    ConnectOptions options;
    options.tls = {.ca_pem = authority_.certificate(), .certificate_pem = pair.certificate, .key_pem = pair.key};
    options.retry.max_attempts = 1;
    return *Client::Connect(server_->addresses()[0], options);
  }
  Client ClientOf(const CertificateRequest& request) { return ClientOf(authority_.Issue(request)); }

  const CertificateAuthority authority_;
  const testing::TestFolder folder_;
  const std::unique_ptr<Server> server_ = StartServer(Options());
};

TEST_F(CertificateServerTest, TheNameInTheCertificateIsTheIdentity) {
  const CertificateRequest kAlice = {.common_name = "alice"}, kBob = {.common_name = "bob"};
  const CertificateRequest kAlternative = {.common_name = "", .alternative_names = "DNS:alice.test,DNS:other.test"};
  const Client alice = ClientOf(kAlice), renewed = ClientOf(kAlice), bob = ClientOf(kBob);
  const Client alternative = ClientOf(kAlternative);
  const auto network = alice.CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok()) << network.status();
  EXPECT_TRUE(renewed.AttachNetwork(network->name()).Get().ok()) << "the name counts, not the key";
  const Client local = *Client::Connect(server_->addresses()[1]);
  for (const Client& other : {bob, alternative, local}) {
    EXPECT_EQ(other.AttachNetwork(network->name()).Get().status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(*other.ListNetworks(), SizeIs(0));
  }
  const auto second = alternative.CreateNetwork(OneNeuron());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(ClientOf(kAlternative).AttachNetwork(second->name()).Get().ok());
}

TEST_F(CertificateServerTest, ACertificateWithoutANameIsUnauthenticated) {
  const auto list = ClientOf({.common_name = "", .alternative_names = ""}).ListNetworks();
  EXPECT_EQ(list.status().code(), absl::StatusCode::kUnauthenticated) << list.status();
}

TEST_F(CertificateServerTest, WithoutACertificateOfTheAuthorityThereIsNoConnection) {
  const CertificateAuthority other;
  EXPECT_EQ(ClientOf(other.Issue()).ListNetworks().status().code(), absl::StatusCode::kUnavailable);
  const ConnectOptions none = {.tls = TlsOptions{.ca_pem = authority_.certificate()}, .retry = {.max_attempts = 1}};
  EXPECT_EQ(Client::Connect(server_->addresses()[0], none)->ListNetworks().status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CheckHealth(server_->addresses()[0], absl::Seconds(10), none).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace spikeserve::rpc

#include "spikeserve/client/client.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "grpc/grpc.h"
#include "gtest/gtest.h"
#include "spikeserve/client/health.h"

namespace spikeserve {
namespace {

static_assert(std::is_nothrow_move_constructible_v<Client> && std::is_copy_constructible_v<Client>);
static_assert(std::is_nothrow_move_constructible_v<NetworkHandle> && !std::is_copy_constructible_v<NetworkHandle>);
static_assert(std::is_nothrow_move_assignable_v<NetworkHandle>);

// A port that nothing listens on: 1 is tcpmux, which nobody runs.
constexpr char kNobody[] = "127.0.0.1:1";

// Keeps the only thread of a client in process until it goes.
class BusyThread {
 public:
  explicit BusyThread(const Client& client) {
    auto begun = std::make_shared<std::promise<void>>();
    client.Start<ListNetworksArgs>({}, {}, [begun, freed = freed_.get_future().share()](const auto&) {
      begun->set_value();
      freed.wait();
    });
    begun->get_future().wait();
  }
  ~BusyThread() { freed_.set_value(); }

 private:
  std::promise<void> freed_;
};

TEST(Client, AnEmptyTargetIsRefused) {
  EXPECT_EQ(Client::Connect("").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Client, ATokenDoesNotLeaveTheMachineUnencrypted) {
  for (const char* target : {"10.0.0.1:1", "example.com:1", "dns:///example.com:1", "0.0.0.0:1"}) {
    const absl::Status refused = Client::Connect(target, {.token = "a-token"}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << target;
    EXPECT_EQ(CheckHealth(target, absl::Seconds(5), {.token = "a-token"}), refused);
    EXPECT_TRUE(Client::Connect(target, {.tls = TlsOptions(), .token = "a-token"}).ok()) << target;
  }
  for (const char* target : {"127.0.0.1:1", "[::1]:1", "localhost:1", "unix:absent"}) {
    EXPECT_TRUE(Client::Connect(target, {.token = "a-token"}).ok()) << target;
  }
}

// gRPC asks the proxy for loopback targets, too: the token would go to another machine in plain.
TEST(Client, CallsToThisMachineGoPastTheProxyOfTheEnvironment) {
  const int proxy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(proxy, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(proxy, 8), 0);
  ASSERT_EQ(getsockname(proxy, reinterpret_cast<sockaddr*>(&address), &size), 0);
  setenv("http_proxy", ("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port))).c_str(), 1);
  for (const char* target : {kNobody, "[::1]:1", "localhost:1", "dns:///localhost:1", "ipv4:127.0.0.1:1"}) {
    const auto client = Client::Connect(target, {.token = "a-token", .retry = {.max_attempts = 1}});
    ASSERT_TRUE(client.ok()) << client.status();
    EXPECT_FALSE(client->ListNetworks({.timeout = absl::Seconds(2)}).ok());
    EXPECT_FALSE(CheckHealth(target, absl::Seconds(2), {.token = "a-token"}).ok());
    pollfd connection = {proxy, POLLIN, 0};
    EXPECT_EQ(poll(&connection, 1, 0), 0) << target;
  }
  unsetenv("http_proxy");
  close(proxy);
}

TEST(Client, WhatIsNoTokenIsRefused) {
  for (const char* token : {"a b", "a\nb", "\xff", "="}) {
    EXPECT_EQ(Client::Connect(kNobody, {.token = token}).status().code(), absl::StatusCode::kInvalidArgument) << token;
  }
}

TEST(Client, WhatIsNoCertificateIsRefused) {
  const TlsOptions wrong[] = {{.ca_pem = "nonsense"},
                              {.ca_file = "/absent", .ca_pem = "nonsense"},
                              {.certificate_pem = "nonsense"},
                              {.key_pem = "nonsense"},
                              {.certificate_pem = "nonsense", .key_pem = "nonsense"}};
  for (const TlsOptions& tls : wrong) {
    EXPECT_EQ(Client::Connect(kNobody, {.tls = tls}).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Client::Connect(kNobody, {.tls = TlsOptions{.ca_file = "/absent"}}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Client::Connect("unix:absent", {.tls = TlsOptions()}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Client, AServerThatCannotBeReachedIsUnavailable) {
  const auto client = Client::Connect(kNobody, {.retry = {.max_attempts = 1}});
  ASSERT_TRUE(client.ok());
  EXPECT_EQ(client->ListNetworks().status().code(), absl::StatusCode::kUnavailable);
}

TEST(Client, RetriesEndWithTheDeadline) {
  const auto client = Client::Connect(kNobody, {.retry = {.max_attempts = 1000}});
  ASSERT_TRUE(client.ok());
  const auto result = client->ListNetworks({.timeout = absl::Milliseconds(500)});
  EXPECT_FALSE(result.ok());
}

TEST(Client, HealthOfAServerThatCannotBeReachedIsUnavailable) {
  EXPECT_EQ(CheckHealth(kNobody, absl::Seconds(5)).code(), absl::StatusCode::kUnavailable);
}

// gRPC 1.51 may need ten seconds to shut itself down.
TEST(Client, TheLastOneThatGoesDoesNotShutGrpcDown) {
  ASSERT_FALSE(Client::Connect(kNobody, {.retry = {.max_attempts = 1}})->ListNetworks().ok());
  EXPECT_TRUE(grpc_is_initialized());
}

TEST(Client, TheLastReferenceMayGoInACallback) {
  std::promise<void> done;
  {
    auto client = Client::InProcess();
    ASSERT_TRUE(client.ok());
    auto* kept = new Client(*client);
    const RowMatrix<float> x = RowMatrix<float>::Ones(300, 300);
    kept->Start<KernelDotProductArgs>({.x = x, .kernel = GaussianKernel{1}}, {}, [kept, &done](auto result) {
      EXPECT_TRUE(result.ok());
      delete kept;
      done.set_value();
    });
  }
  done.get_future().wait();
}

TEST(Client, AMovedHandleDeletesItsNetworkOnce) {
  const auto client = Client::InProcess();
  ASSERT_TRUE(client.ok());
  auto first = client->CreateNetwork({{.kind = IfNode{}}});
  ASSERT_TRUE(first.ok());
  {
    NetworkHandle second = *std::move(first);
    EXPECT_EQ(client->ListNetworks()->size(), 1u);
    auto third = client->CreateNetwork({{.kind = IfNode{}}});
    second = *std::move(third);  // The first network goes.
    EXPECT_EQ(client->ListNetworks()->size(), 1u);
    EXPECT_TRUE(second.Get().ok());
  }
  EXPECT_EQ(client->ListNetworks()->size(), 0u);
}

TEST(Client, AHandleGoesInSecondsThoughItsNetworkCannotBeDeletedYet) {
  const auto client = Client::InProcess({.threads = 1});
  ASSERT_TRUE(client.ok());
  auto network = client->CreateNetwork({{.kind = IfNode{}}});
  ASSERT_TRUE(network.ok());
  auto busy = std::make_unique<BusyThread>(*client);
  const std::future<void> gone =
      std::async(std::launch::async, [&network] { const NetworkHandle last = *std::move(network); });
  EXPECT_EQ(gone.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  busy.reset();
}

// Races are for ThreadSanitizer to find.
TEST(Client, AHandleMayBeReleasedWhileItDeletesItsNetwork) {
  const auto client = Client::InProcess();
  ASSERT_TRUE(client.ok());
  for (int i = 0; i < 10; ++i) {
    auto network = client->CreateNetwork({{.kind = IfNode{}}});
    ASSERT_TRUE(network.ok());
    std::thread other([&network] { network->Release(); });
    EXPECT_TRUE(network->Delete().ok());
    other.join();
  }
  EXPECT_EQ(client->ListNetworks()->size(), 0u);
}

TEST(Client, InProcessNoCallIsRefusedNorEndedByTheThreadThatStartsIt) {
  const auto client = Client::InProcess({.threads = 1});
  ASSERT_TRUE(client.ok());
  auto busy = std::make_unique<BusyThread>(*client);
  // More than a server takes when nobody says how many.
  std::vector<std::promise<bool>> well(2000);
  for (std::promise<bool>& call : well) {
    client->Start<ListNetworksArgs>({}, {}, [&call, here = std::this_thread::get_id()](const auto& result) {
      call.set_value(result.ok() && std::this_thread::get_id() != here);
    });
  }
  busy.reset();
  for (std::promise<bool>& call : well) ASSERT_TRUE(call.get_future().get());
}

}  // namespace
}  // namespace spikeserve

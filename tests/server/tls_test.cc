// The server's certificates: how they are checked, and replaced while it serves.

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/credentials.h"
#include "rpc/server.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/health.h"
#include "support/certificates.h"
#include "support/events.h"
#include "support/test_folder.h"

namespace spikeserve::rpc {
namespace {

using ::spikeserve::testing::CertificateAuthority;
using ::spikeserve::testing::KeyPair;
using ::spikeserve::testing::WriteTestFile;
using ::testing::HasSubstr;

class TlsTest : public ::testing::Test {
 protected:
  static TlsFiles Write(const KeyPair& pair) {
    return {.certificate = WriteTestFile("tls.pem", pair.certificate), .key = WriteTestFile("tls.key", pair.key)};
  }

  ServerOptions Options(const KeyPair& pair) {
    ServerOptions options;
    options.listen = {"127.0.0.1:0"};
    options.tls = Write(pair);
    options.events = events_.sink();
    return options;
  }

  bool HasLogged(const std::string& text) {
    const std::vector<std::string> texts = events_.texts();
    return std::any_of(texts.begin(), texts.end(), [&](auto& event) { return absl::StrContains(event, text); });
  }

  // Whether a new connection finds a server named `name`.
  absl::Status Find(const std::string& address, const std::string& name) {
    return CheckHealth(address, absl::Seconds(30),
                       {.tls = TlsOptions{.ca_pem = authority_.certificate(), .server_name = name}});
  }

  // Whether a new connection gets in whose client shows a certificate of this authority, and finds a server named
  // `name`.
  absl::Status EnterWith(const CertificateAuthority& authority, const std::string& address, const std::string& name) {
    const KeyPair shown = authority.Issue();
    return CheckHealth(address, absl::Seconds(30),
                       {.tls = TlsOptions{.ca_pem = authority_.certificate(),
                                          .certificate_pem = shown.certificate,
                                          .key_pem = shown.key,
                                          .server_name = name}});
  }

  KeyPair Named(const std::string& name) {
    return authority_.Issue({.alternative_names = absl::StrCat("DNS:", name, ",IP:127.0.0.1")});
  }

  const CertificateAuthority authority_;
  testing::Events events_;
};

TEST_F(TlsTest, ACertificateIsReplacedUnderLoadAndEveryCallGoesOn) {
  auto server = *Server::Start(Options(Named("first.test")));
  const std::string address = server->addresses()[0];
  ASSERT_TRUE(Find(address, "first.test").ok()) << Find(address, "first.test");
  EXPECT_FALSE(Find(address, "second.test").ok());

  std::atomic<bool> stop = false;
  std::atomic<int> calls = 0, failures = 0;
  const ConnectOptions options = {.tls = TlsOptions{.ca_pem = authority_.certificate()}, .retry = {.max_attempts = 1}};
  // One client stays connected, the other is a new one for each call.
  const auto load = [&](bool reconnect) {
    Client client = *Client::Connect(address, options);
    while (!stop) {
      if (reconnect) client = *Client::Connect(address, options);
      const auto result = client.FirstSpikeIndex({.spikes = std::vector<uint8_t>{0, 1, 0}});
      ++calls;
      if (!result.ok()) {
        ++failures;
        ADD_FAILURE() << result.status();
      }
    }
  };
  std::thread steady(load, false), fresh(load, true);
  const auto wait_for = [&](auto condition) {
    while (!condition()) absl::SleepFor(absl::Milliseconds(20));
  };
  // The certificate is there before its key: for a while they do not belong together.
  const KeyPair second = Named("second.test");
  WriteTestFile("tls.pem", second.certificate);
  wait_for([&] { return HasLogged("has another private key"); });
  EXPECT_TRUE(Find(address, "first.test").ok());
  WriteTestFile("tls.key", second.key);
  wait_for([&] { return Find(address, "second.test").ok(); });
  const int before = calls;
  wait_for([&] { return calls > before + 20; });
  stop = true;
  steady.join();
  fresh.join();
  EXPECT_EQ(failures, 0) << "of " << calls;
  EXPECT_FALSE(Find(address, "first.test").ok());
}

TEST_F(TlsTest, WhatIsBrokenIsNotTakenAndTheOldCertificateIsServedOn) {
  const auto server = *Server::Start(Options(Named("good.test")));
  const std::string address = server->addresses()[0];
  const auto expect_kept = [&](const std::string& logged) {
    while (!HasLogged(logged)) absl::SleepFor(absl::Milliseconds(20));
    // gRPC looks at what it is given each second.
    absl::SleepFor(absl::Milliseconds(1500));
    const absl::Status status = Find(address, "good.test");
    EXPECT_TRUE(status.ok()) << logged << ": " << status;
  };
  WriteTestFile("tls.pem", "nonsense");
  expect_kept("has no certificate");
  const KeyPair expired = authority_.Issue({.end = absl::Now() - absl::Minutes(1)});
  WriteTestFile("tls.key", expired.key);
  WriteTestFile("tls.pem", expired.certificate);
  expect_kept("expired on");
  std::remove(WriteTestFile("tls.pem", "").c_str());
  expect_kept("cannot read the file");
}

TEST_F(TlsTest, ACertificateThatIsNotValidYetIsTakenWhenItIs) {
  const auto server = *Server::Start(Options(Named("first.test")));
  const KeyPair later =
      authority_.Issue({.alternative_names = "DNS:second.test", .begin = absl::Now() + absl::Seconds(4)});
  WriteTestFile("tls.key", later.key);
  WriteTestFile("tls.pem", later.certificate);
  while (!Find(server->addresses()[0], "second.test").ok()) {
    absl::SleepFor(absl::Milliseconds(20));
  }
}

TEST_F(TlsTest, TheAuthoritiesOfClientsAreReplacedWhateverTheCertificatesFileHolds) {
  const CertificateAuthority first, second;
  ServerOptions options = Options(Named("first.test"));
  options.tls->client_ca = WriteTestFile("tls-client-ca.pem", first.certificate());
  const auto server = *Server::Start(options);
  const auto enter = [&](const CertificateAuthority& authority, const std::string& name = "first.test") {
    return EnterWith(authority, server->addresses()[0], name);
  };
  EXPECT_TRUE(enter(first).ok()) << enter(first);
  EXPECT_EQ(enter(second).code(), absl::StatusCode::kUnavailable);
  const auto expect_replaced = [&](const CertificateAuthority& before, const CertificateAuthority& by) {
    WriteTestFile("tls-client-ca.pem", by.certificate());
    while (!enter(by).ok()) absl::SleepFor(absl::Milliseconds(20));
    EXPECT_EQ(enter(before).code(), absl::StatusCode::kUnavailable);
  };
  expect_replaced(first, second);
  WriteTestFile("tls.pem", "nonsense");
  while (!HasLogged("--tls-cert: ")) absl::SleepFor(absl::Milliseconds(20));
  expect_replaced(second, first);
  // And the other way round.
  WriteTestFile("tls-client-ca.pem", "nonsense");
  while (!HasLogged("--tls-client-ca: ")) absl::SleepFor(absl::Milliseconds(20));
  const KeyPair next = Named("second.test");
  WriteTestFile("tls.key", next.key);
  WriteTestFile("tls.pem", next.certificate);
  while (!enter(first, "second.test").ok()) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_EQ(enter(second, "second.test").code(), absl::StatusCode::kUnavailable);
}

TEST_F(TlsTest, FilesThatAreNotWhatTheyShouldBeAreRefusedBeforeAnythingIsServed) {
  const KeyPair good = Named("good.test"), expired = authority_.Issue({.end = absl::Now() - absl::Minutes(1)});
  const auto refused = [&](const KeyPair& pair, const std::string& client_ca = "") {
    ServerOptions options = Options(pair);
    options.tls->client_ca = client_ca;
    const absl::Status status = Server::Start(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status, Server::Check(options));
    return std::string(status.message());
  };
  EXPECT_THAT(refused(expired), HasSubstr("expired"));
  EXPECT_THAT(refused({good.certificate, expired.key}), HasSubstr("--tls-key"));
  EXPECT_THAT(refused({"", good.key}), HasSubstr("--tls-cert"));
  EXPECT_THAT(refused(good, "/absent/ca.pem"), HasSubstr("--tls-client-ca: cannot read the file /absent/ca.pem"));
}

TEST_F(TlsTest, UnixSocketsStayPlainAndOtherListenersDoNot) {
  const testing::TestFolder folder;
  ServerOptions options = Options(Named("localhost"));
  options.listen.push_back("unix:" + folder.Path("socket"));
  const auto server = *Server::Start(options);
  EXPECT_TRUE(CheckHealth(server->addresses()[1], absl::Seconds(10)).ok());
  EXPECT_EQ(CheckHealth(server->addresses()[0], absl::Seconds(10)).code(), absl::StatusCode::kUnavailable);
  options.listen.erase(options.listen.begin());
  EXPECT_THAT(std::string(Server::Check(options).message()), HasSubstr("no --listen=HOST:PORT"));
}

TEST_F(TlsTest, OtherMachinesAreNotListenedToWithoutTls) {
  for (const char* address : {"0.0.0.0:0", "[::]:0", "example.com:0", "10.1.2.3:0"}) {
    ServerOptions options;
    options.listen = {"127.0.0.1:0", address};
    const absl::Status status = Server::Check(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("--listen: ", address, " without TLS")));
    EXPECT_EQ(Server::Start(options).status(), status);
    options.insecure = true;
    EXPECT_TRUE(Server::Check(options).ok());
    options.insecure = false;
    options.tls = Write(Named("localhost"));
    EXPECT_TRUE(Server::Check(options).ok());
  }
}

}  // namespace
}  // namespace spikeserve::rpc

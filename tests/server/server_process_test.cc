// The life of the server's process: how it starts, and how it ends.

#include "support/server_process.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "rpc/grpc_lifetime.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/health.h"
#include "support/certificates.h"
#include "support/generic_call.h"
#include "support/raw_http2.h"
#include "support/test_folder.h"

namespace spikeserve {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ServerProcess;

constexpr char kAnyPort[] = "--listen=127.0.0.1:0";

Client ClientOf(const std::string& address, const RetryPolicy& retry = {}) {
  return *Client::Connect(address, {.retry = retry});
}

#ifdef __SANITIZE_THREAD__
constexpr bool kIsSlow = true;
#else
constexpr bool kIsSlow = false;
#endif

// A call of few bytes that computes for minutes if it is left alone, on a server with this flag.
constexpr char kManyPairs[] = "--max-pairs=1000000000000";
SpikeSimilarLossArgs LongCall() {
  // With ThreadSanitizer it takes as long to notice the end of the fewer.
  constexpr int64_t kSamples = kIsSlow ? 50'000 : 500'000;
  static const RowMatrix<uint8_t> spikes = RowMatrix<uint8_t>::Ones(kSamples, 8);
  static const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(kSamples, 1);
  return {.spikes = spikes, .labels = labels, .kernel = GaussianKernel{1}};
}

void WaitUntil(absl::FunctionRef<bool()> condition) {
  while (!condition()) absl::SleepFor(absl::Milliseconds(5));
}

// Waits until the server computes, or lets calls wait.
void WaitForCallInProgress(const Client& client) {
  WaitUntil([&] {
    const auto statistics = client.ServerStatistics();
    return statistics.ok() && statistics->calls_in_progress > 1;  // With this one.
  });
}

// A server of these flags that computes a long call.
struct BusyServer {
  explicit BusyServer(std::vector<std::string> flags) : process(WithItsOwn(std::move(flags))) {
    const std::string& address = process.address();
    answer = ClientOf(address, {.max_attempts = 1}).Async(LongCall());
    WaitForCallInProgress(ClientOf(address));
  }

  static std::vector<std::string> WithItsOwn(std::vector<std::string> flags) {
    flags.insert(flags.end(), {kAnyPort, kManyPairs});
    return flags;
  }

  ServerProcess process;
  std::future<absl::StatusOr<SpikeSimilarLossArgs::Result>> answer;
};

TEST(ServerProcess, WhatKeepsItFromStartingIsOneLineAndExitCode2) {
  ServerProcess first({kAnyPort});
  const std::vector<std::string> addresses = first.WaitForAddresses();
  ASSERT_EQ(addresses.size(), 1u);
  const testing::CertificateAuthority authority;
  const testing::KeyPair pair = authority.Issue();
  const std::string certificate = "--tls-cert=" + testing::WriteTestFile("process.pem", pair.certificate);
  const std::string key = "--tls-key=" + testing::WriteTestFile("process.key", pair.key);
  const std::string another_key = "--tls-key=" + testing::WriteTestFile("another.key", authority.Issue().key);
  const std::string no_pem = testing::WriteTestFile("no.pem", "nonsense");
  // A state with a file that loading would rename.
  const testing::TestFolder folder;
  const std::string state = folder.Path("state");
  std::filesystem::create_directory(state);
  std::ofstream(state + "/corrupt.network") << "nonsense";
  const std::string state_dir = "--state-dir=" + state;
  // And what its line is about.
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--listen=" + addresses[0]}, "--listen: cannot listen on " + addresses[0]},
      {{"--listen=" + addresses[0], state_dir}, "--listen: cannot listen on " + addresses[0]},
      {{"--listen=unix:" + state + "/absent/a", state_dir}, "/absent/a: No such file or directory"},
      {{"--listen=unix:" + no_pem + "/a", state_dir}, "/a: Not a directory"},
      {{"--listen=unix:" + no_pem, state_dir}, no_pem + ": Address already in use"},
      {{"--listen=nonsense"}, "--listen"},
      {{"--listen=127.0.0.1:5\n"}, "--listen: \"127.0.0.1:5\\n\""},
      {{kAnyPort, "--tokens=/no/file\n"}, "/no/file\\n"},
      {{"--listen=unix-abstract:123"}, "--listen: \"unix-abstract:123\""},
      {{"--threads=x"}, "--threads"},
      {{"--nonsense"}, "--nonsense"},
      {{"--flagfile=/no/file"}, "/no/file"},
      {{kAnyPort, "--tls-cert=/no/file", key}, "--tls-cert: cannot read the file /no/file"},
      {{kAnyPort, certificate, "--tls-key=/no/file"}, "--tls-key: cannot read the file /no/file"},
      {{kAnyPort, "--tls-cert=" + no_pem, key}, "--tls-cert: the file " + no_pem},
      {{kAnyPort, certificate, "--tls-key=" + no_pem}, "--tls-key: the file " + no_pem},
      {{kAnyPort, certificate, another_key}, "another private key"},
      {{kAnyPort, certificate, key, "--tls-client-ca=" + no_pem}, "--tls-client-ca: the file " + no_pem}};
  for (const auto& [flags, subject] : wrong) {
    ServerProcess server(flags);
    EXPECT_EQ(server.WaitForExit(), 2) << absl::StrJoin(flags, " ");
    const std::string error = server.Stderr();
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
    EXPECT_TRUE(absl::StartsWith(error, "spikeserve: ")) << error;
    EXPECT_THAT(error, HasSubstr(subject));
  }
  EXPECT_TRUE(std::filesystem::exists(state + "/corrupt.network"));
}

TEST(ServerProcess, CheckingItsConfigurationStartsNothing) {
  ServerProcess right({kAnyPort, "--check-config"});
  EXPECT_EQ(right.WaitForExit(), 0);
  ServerProcess wrong({"--listen=nonsense"}, {"SPIKESERVE_CHECK_CONFIG=true"});
  EXPECT_EQ(wrong.WaitForExit(), 2);
}

TEST(ServerProcess, TakesFlagsFromItsEnvironment) {
  ServerProcess server({}, {"SPIKESERVE_LISTEN=127.0.0.1:0", "SPIKESERVE_THREADS=3"});
  const Client client = ClientOf(server.WaitForAddresses().at(0));
  const auto statistics = client.ServerStatistics();
  ASSERT_TRUE(statistics.ok()) << statistics.status();
  EXPECT_EQ(statistics->threads, 3);
}

TEST(ServerProcess, EndsWithExitCode0OnEitherSignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    ServerProcess server({kAnyPort});
    server.WaitForAddresses();
    server.Signal(signal);
    EXPECT_EQ(server.WaitForExit(), 0);
  }
}

TEST(ServerProcess, ServesOnDuringTheDrainDelayButSaysThatItEnds) {
  ServerProcess server({kAnyPort, "--drain-delay=3"});
  const std::string address = server.WaitForAddresses().at(0);
  const Client client = ClientOf(address);
  ASSERT_TRUE(client.ServerStatistics().ok());
  server.Signal(SIGTERM);
  // Not serving, and yet each call is answered.
  WaitUntil([&] { return !CheckHealth(address, absl::Seconds(10)).ok(); });
  EXPECT_TRUE(client.ServerStatistics().ok());
  EXPECT_TRUE(server.Running());
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST(ServerProcess, ACallThatWasAcceptedIsAnsweredBeforeItEnds) {
  ServerProcess server({kAnyPort, "--drain-timeout=1000"});  // However slow the build is.
  const std::string address = server.WaitForAddresses().at(0);
  const Client client = ClientOf(address);
  constexpr int64_t kSize = kIsSlow ? 800 : 3000;
  const RowMatrix<float> x = RowMatrix<float>::Constant(kSize, kSize, 0.5f);
  auto answer = client.Async(KernelDotProductArgs{.x = x, .kernel = GaussianKernel{1}});
  WaitForCallInProgress(ClientOf(address));
  server.Signal(SIGTERM);
  const auto result = answer.get();
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST(ServerProcess, CallsThatTakeLongerThanTheDrainTimeoutAreCancelledAndExitCode3TellsSo) {
  BusyServer busy({"--drain-timeout=0.2"});
  ServerProcess& server = busy.process;
  server.Signal(SIGTERM);
  const absl::Status status = busy.answer.get().status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("longer than its --drain-timeout"));
  EXPECT_EQ(server.WaitForExit(), 3);
  EXPECT_THAT(server.Log(), AllOf(Contains("warning: call cut off"),
                                  Contains("warning: calls cut off, because they took longer than --drain-timeout")));
  EXPECT_THAT(server.Stderr(), HasSubstr("\"calls\":1,\"drain_timeout_s\":0.2"));
}

// Closing it after the time of the drain would end calls that may take longer.
TEST(ServerProcess, ACallOutlivesTheAgeOfItsConnection) {
  BusyServer busy({"--max-connection-age=1", "--drain-timeout=0.2"});
  EXPECT_EQ(busy.answer.wait_for(std::chrono::milliseconds(2500)), std::future_status::timeout);
  busy.process.Signal(SIGTERM);
  EXPECT_THAT(std::string(busy.answer.get().status().message()), HasSubstr("longer than its --drain-timeout"));
  EXPECT_EQ(busy.process.WaitForExit(), 3);
}

// Load balancers hold a stream on the health, and tools one on the reflection: neither is a call to be finished.
TEST(ServerProcess, StreamsThatNeverEndDoNotHoldUpItsEnd) {
  ServerProcess server({kAnyPort, "--drain-timeout=1000"});
  const std::string address = server.WaitForAddresses().at(0);
  testing::RawConnection connection(address);
  testing::FrameReader reader(connection);
  connection.Send(testing::Greeting() + testing::CallFrames("/grpc.health.v1.Health/Watch", "", 1));
  for (auto frame = reader.Next(); frame; frame = reader.Next()) {
    if (frame->type == testing::kDataFrame) break;  // It is serving, and goes on watching.
  }
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0) << server.Stderr();
}

TEST(ServerProcess, AFullSocketForItsLogDoesNotHoldUpItsEnd) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  // Nobody reads it.
  const std::string filling(4096, 'x');
  while (send(ends[1], filling.data(), filling.size(), MSG_DONTWAIT) > 0) {
  }
  ServerProcess server({kAnyPort, "--drain-timeout=1000"}, /*stderr_descriptor=*/ends[1]);
  server.WaitForAddresses();
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
  close(ends[0]);
  close(ends[1]);
}

TEST(ServerProcess, AUnixSocketIsNotTakenFromTheServerThatListensThere) {
  const testing::TestFolder folder;
  const std::string address = "unix:" + folder.Path("socket");
  ServerProcess first({"--listen=" + address});
  first.WaitForAddresses();
  for (const char* flag : {"--threads=1", "--shared-memory"}) {
    ServerProcess second({"--listen=" + address, flag});
    EXPECT_EQ(second.WaitForExit(), 2);
    EXPECT_THAT(second.Stderr(), HasSubstr("another server listens there"));
  }
  EXPECT_TRUE(ClientOf(address).ServerStatistics().ok());
  // What a killed one leaves behind is nobody's.
  EXPECT_EQ(first.End(SIGKILL), -SIGKILL);
  ServerProcess third({"--listen=" + address});
  third.WaitForAddresses();
  EXPECT_TRUE(ClientOf(address).ServerStatistics().ok());
}

TEST(ServerProcess, AMetricsAddressThatIsTakenEndsItBeforeItServesCalls) {
  ServerProcess first({kAnyPort});
  const std::string taken = first.WaitForAddresses().at(0);
  ServerProcess second({kAnyPort, "--metrics-listen=" + taken});
  EXPECT_EQ(second.WaitForExit(), 2);
  EXPECT_THAT(second.Stderr(), HasSubstr("--metrics-listen: cannot listen on " + taken));
  EXPECT_EQ(second.ReadLine(), std::nullopt);
}

TEST(ServerProcess, SignalsThatAreNotForItsEndDoNotEndIt) {
  ServerProcess server({kAnyPort});
  const Client client = ClientOf(server.WaitForAddresses().at(0));
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE}) server.Signal(signal);
  EXPECT_TRUE(client.ServerStatistics().ok());
  EXPECT_EQ(server.End(SIGTERM), 0);
}

TEST(ServerProcess, TheSameSignalTwiceWithinATenthOfASecondIsOne) {
  BusyServer busy({"--drain-timeout=0.2"});
  ServerProcess& server = busy.process;
  server.Signal(SIGTERM);
  server.Signal(SIGTERM);
  EXPECT_TRUE(absl::IsUnavailable(busy.answer.get().status()));
  EXPECT_EQ(server.WaitForExit(), 3);
  EXPECT_THAT(server.Log(), Not(Contains(HasSubstr("a second signal"))));
}

// A fuzzer's finding: Protobuf wrote a line for each, so that any client could fill the server's log.
TEST(ServerProcess, ARequestThatIsNoTextLeavesNoLineOnStderrButTheLogs) {
  ServerProcess server({kAnyPort, "--log-level=info"});
  const Client client = ClientOf(server.address());
  EXPECT_EQ(client.AttachNetwork("\xff").Get().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server.End(SIGTERM), 0);
  EXPECT_THAT(server.Log(),
              ElementsAre("info: started", "info: listening", "info: call failed", "info: draining", "info: ended"));
  const std::string all = server.Stderr();
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 5) << all;
}

TEST(ServerProcess, TheLineOfACallHasTheTraceThatItCameWith) {
  rpc::KeepGrpcInitialized();
  ServerProcess server({kAnyPort, "--log-level=debug"});
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  const grpc::Status status =
      testing::CallUnary(grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()),
                         testing::kServerStatistics, /*request=*/"", context);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(server.End(SIGTERM), 0);
  EXPECT_THAT(server.Stderr(), AllOf(HasSubstr("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\""),
                                     HasSubstr("\"span_id\":\"00f067aa0ba902b7\"")));
}

TEST(ServerProcess, HasAsManyDescriptorsAsItMayHave) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit few = limit;
  few.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  ServerProcess server({kAnyPort});
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_NE(server.address(), "");
  rlimit its;
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &its), 0);
  EXPECT_EQ(its.rlim_cur, limit.rlim_max);
}

// Reading a pipe that nobody writes to would take for ever, and its end, too.
TEST(ServerProcess, APipeInPlaceOfAFileIsRefused) {
  const testing::TestFolder folder;
  const std::string pipe = folder.Path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const char* flag : {"--flagfile", "--tokens"}) {
    ServerProcess server({kAnyPort, flag + ("=" + pipe)});
    EXPECT_EQ(server.WaitForExit(), 2);
    EXPECT_THAT(server.Stderr(), HasSubstr("not a regular file"));
  }
}

TEST(ServerProcess, ASecondSignalEndsItAtOnce) {
  BusyServer busy({"--drain-timeout=1000"});
  ServerProcess& server = busy.process;
  server.Signal(SIGTERM);
  WaitUntil([&] { return absl::StrContains(server.Stderr(), "draining"); });
  EXPECT_TRUE(server.Running());
  absl::SleepFor(absl::Milliseconds(150));  // Sooner it would be the same one.
  server.Signal(SIGINT);
  EXPECT_EQ(server.WaitForExit(), 3);
  EXPECT_FALSE(busy.answer.get().ok());
}

}  // namespace
}  // namespace spikeserve

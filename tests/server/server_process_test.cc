// The life of the server's process: how it starts, and how it ends.

#include "support/server_process.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/health.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ServerProcess;

constexpr char kAnyPort[] = "--listen=127.0.0.1:0";

Client ClientOf(const std::string& address, const RetryPolicy& retry = {}) {
  return *Client::Connect(address, {.retry = retry});
}

// A call of few bytes that computes for minutes if it is left alone, on a server with this flag.
constexpr char kManyPairs[] = "--max-pairs=1000000000000";
SpikeSimilarLossArgs LongCall() {
  constexpr int64_t kSamples = 500'000;
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

TEST(ServerProcess, WhatKeepsItFromStartingIsOneLineAndExitCode2) {
  ServerProcess first({kAnyPort});
  const std::vector<std::string> addresses = first.WaitForAddresses();
  ASSERT_EQ(addresses.size(), 1u);
  const std::vector<std::vector<std::string>> wrong = {
      {"--listen=" + addresses[0]}, {"--listen=nonsense"}, {"--threads=x"}, {"--nonsense"}, {"--flagfile=/no/file"}};
  for (const std::vector<std::string>& flags : wrong) {
    ServerProcess server(flags);
    EXPECT_EQ(server.WaitForExit(), 2) << flags[0];
    const std::string error = server.Stderr();
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
    EXPECT_TRUE(absl::StartsWith(error, "spikeserve: ")) << error;
  }
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
  const RowMatrix<float> x = RowMatrix<float>::Constant(3000, 3000, 0.5f);
  auto answer = client.Async(KernelDotProductArgs{.x = x, .kernel = GaussianKernel{1}});
  WaitForCallInProgress(ClientOf(address));
  server.Signal(SIGTERM);
  const auto result = answer.get();
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST(ServerProcess, CallsThatTakeLongerThanTheDrainTimeoutAreCancelledAndExitCode3TellsSo) {
  ServerProcess server({kAnyPort, kManyPairs, "--drain-timeout=0.2"});
  const std::string address = server.WaitForAddresses().at(0);
  auto answer = ClientOf(address, {.max_attempts = 1}).Async(LongCall());
  WaitForCallInProgress(ClientOf(address));
  server.Signal(SIGTERM);
  EXPECT_TRUE(absl::IsUnavailable(answer.get().status()));
  EXPECT_EQ(server.WaitForExit(), 3);
  EXPECT_THAT(server.Stderr(), HasSubstr("--drain-timeout"));
}

// A fuzzer's finding: Protobuf wrote a line for each, so that any client could fill the server's log.
TEST(ServerProcess, ARequestThatIsNoTextLeavesNoLineOnStderr) {
  ServerProcess server({kAnyPort, "--log-level=info"});
  const Client client = ClientOf(server.address());
  EXPECT_EQ(client.AttachNetwork("\xff").Get().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server.End(SIGTERM), 0);
  EXPECT_THAT(server.Log(), ElementsAre("info: listening", "info: draining", "info: ended"));
  const std::string all = server.Stderr();
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3) << all;
}

TEST(ServerProcess, ASecondSignalEndsItAtOnce) {
  ServerProcess server({kAnyPort, kManyPairs, "--drain-timeout=1000"});
  const std::string address = server.WaitForAddresses().at(0);
  auto answer = ClientOf(address, {.max_attempts = 1}).Async(LongCall());
  WaitForCallInProgress(ClientOf(address));
  server.Signal(SIGTERM);
  WaitUntil([&] { return absl::StrContains(server.Stderr(), "draining"); });
  EXPECT_TRUE(server.Running());
  server.Signal(SIGINT);
  EXPECT_EQ(server.WaitForExit(), 3);
  EXPECT_FALSE(answer.get().ok());
}

}  // namespace
}  // namespace spikeserve

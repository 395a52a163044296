#include "telemetry/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/telemetry/log_testing.h"

namespace spikeserve::telemetry {
namespace {

using ::testing::HasSubstr;
using testing::PipedLog;

TEST(Log, WritesLinesOfItsLevelAndAbove) {
  PipedLog piped({.format = LogFormat::kJson, .level = LogLevel::kInfo});
  EXPECT_FALSE(piped.log().Shows(LogLevel::kDebug));
  EXPECT_TRUE(piped.log().Shows(LogLevel::kInfo));
  piped.log().Write(LogLevel::kDebug, "left out");
  piped.log().Write(LogLevel::kInfo, "listening", {{"address", std::string_view("127.0.0.1:50051")}});
  piped.log().Write(LogLevel::kWarning, "call failed");
  const auto lines = piped.EndJson();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("message"), "listening");
  EXPECT_EQ(lines[0].at("level"), "info");
  EXPECT_EQ(lines[0].at("address"), "127.0.0.1:50051");
  EXPECT_EQ(lines[1].at("level"), "warning");
}

TEST(Log, ThatIsOffWritesNothing) {
  PipedLog piped({.level = LogLevel::kOff});
  piped.log().Write(LogLevel::kError, "x");
  EXPECT_EQ(piped.log().lines(LogLevel::kError), 1) << "metrics tell of it yet";
  EXPECT_EQ(piped.log().lines(LogLevel::kWarning), 0);
  EXPECT_EQ(piped.End(), "");
}

TEST(Log, LinesOfManyThreadsAreWhole) {
  constexpr int kThreads = 4, kLines = 50;
  PipedLog piped({.format = LogFormat::kJson});
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int64_t line = 0; line < kLines; ++line) piped.log().Write(LogLevel::kInfo, "line", {{"number", line}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto lines = piped.EndJson();
  EXPECT_EQ(lines.size(), size_t{kThreads * kLines});
  int64_t sum = 0;
  for (const auto& line : lines) sum += line.at("number").get<int64_t>();
  EXPECT_EQ(sum, int64_t{kThreads} * kLines * (kLines - 1) / 2);
}

TEST(Log, AReaderThatDoesNotReadHoldsNobodyUpAndTheLinesThatItMissesAreCounted) {
  PipedLog piped({.format = LogFormat::kText});
  const std::string long_value(900, 'x');
  // Far more than the pipe and the queue take; the test would not come to its end if a line waited.
  constexpr int64_t kLines = 20'000;
  for (int64_t line = 0; line < kLines; ++line) {
    piped.log().Write(LogLevel::kInfo, "line", {{"number", line}, {"value", std::string_view(long_value)}});
  }
  const int64_t dropped = piped.log().dropped();
  EXPECT_GT(dropped, kLines / 2);
  EXPECT_LT(dropped, kLines);
  // The reader comes back, and finds whole lines. Those that the log kept are the last ones.
  std::string text;
  std::thread reader([&] {
    char buffer[4096];
    while (text.find(absl::StrCat("number=", kLines - 1, " ")) == text.npos) {
      const ssize_t n = read(piped.read_end(), buffer, sizeof buffer);
      ASSERT_GT(n, 0);
      text.append(buffer, n);
    }
  });
  reader.join();
  for (const auto line : absl::StrSplit(text.substr(0, text.rfind('\n')), '\n')) {
    EXPECT_THAT(std::string(line), ::testing::MatchesRegex("[^ ]* info    line number=[0-9]* value=x*"));
  }
}

TEST(Log, EndsAlsoWhereNobodyReads) {
  PipedLog piped({.format = LogFormat::kText});
  const std::string long_value(900, 'x');
  for (int line = 0; line < 5'000; ++line) {
    piped.log().Write(LogLevel::kInfo, "line", {{"value", std::string_view(long_value)}});
  }
  // The destructor comes back.
}

// A line for a pipe that nobody reads any more is dropped.
void ExpectDropped(const int (&ends)[2]) {
  std::signal(SIGPIPE, SIG_IGN);  // As the server does.
  close(ends[0]);
  {
    Log log({.format = LogFormat::kText}, ends[1]);
    log.Write(LogLevel::kInfo, "line");
    while (log.dropped() == 0) std::this_thread::yield();
  }
  close(ends[1]);
}

TEST(Log, AReaderThatIsGoneIsNoReasonToEnd) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ExpectDropped(ends);
}

// Such a pipe has no room and never will; the log's thread asked it again and again, without a pause.
TEST(Log, AReaderThatIsGoneWithoutHavingReadIsNotWaitedFor) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  while (write(ends[1], "full", 4) == 4) {
  }
  ExpectDropped(ends);
}

}  // namespace
}  // namespace spikeserve::telemetry

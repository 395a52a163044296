// What spikectl tells of a server that computes: statistics, and top.

#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "cli/top_view.h"
#include "client/spikectl_server_testing.h"

namespace spikeserve::testing {
namespace {

using cli::Compare;
using cli::TopLines;
using cli::TopView;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Of a method whose computing took the first or the second bucket, and waiting always the first.
MethodStatistics Method(const std::string& name, int64_t fast, int64_t slow, int64_t failed = 0) {
  MethodStatistics method;
  method.method = name;
  method.calls_by_code[absl::StatusCode::kOk] = fast + slow;
  if (failed > 0) method.calls_by_code[absl::StatusCode::kNotFound] = failed;
  method.request_bytes = 1000 * (fast + slow);
  method.compute = {fast + slow, absl::Seconds(1), {fast, slow, 0}};
  method.queue = {fast + slow, absl::Seconds(1), {fast + slow, 0, 0}};
  return method;
}

ServerStatisticsResult At(absl::Duration uptime, std::vector<MethodStatistics> methods, int64_t refused = 0) {
  ServerStatisticsResult result{};
  result.uptime = uptime;
  result.calls_refused = refused;
  result.methods = std::move(methods);
  result.bounds = {absl::Microseconds(10), absl::Milliseconds(2)};
  return result;
}

TEST(TopView, TellsWhatCameBetweenTwoLooks) {
  const TopView view = Compare(
      At(absl::Seconds(100), {Method("Run", 50, 50), Method("StcaLoss", 7, 0)}, 3),
      At(absl::Seconds(102), {Method("Forward", 0, 10, 4), Method("Run", 148, 52), Method("StcaLoss", 7, 0)}, 8));
  EXPECT_DOUBLE_EQ(view.calls_per_second, 57);
  EXPECT_DOUBLE_EQ(view.failed_per_second, 2);
  EXPECT_DOUBLE_EQ(view.refused_per_second, 2.5);
  EXPECT_DOUBLE_EQ(view.request_bytes_per_second, 55'000);
  ASSERT_EQ(view.methods.size(), 2u);  // Without what was not called.
  EXPECT_EQ(view.methods[0].name, "Run");
  EXPECT_DOUBLE_EQ(view.methods[0].calls_per_second, 50);
  EXPECT_EQ(view.methods[0].queue_p99, absl::Microseconds(10));
  EXPECT_EQ(view.methods[0].compute_p50, absl::Microseconds(10));
  EXPECT_EQ(view.methods[0].compute_p99, absl::Milliseconds(2));
  EXPECT_EQ(view.methods[1].name, "Forward");
  EXPECT_DOUBLE_EQ(view.methods[1].failed_per_second, 2);
}

TEST(TopView, AServerThatStartedAnewIsCountedFromItsStart) {
  const TopView view =
      Compare(At(absl::Seconds(1000), {Method("Run", 5000, 0)}, 100), At(absl::Seconds(2), {Method("Run", 4, 0)}, 2));
  EXPECT_DOUBLE_EQ(view.calls_per_second, 2);
  EXPECT_DOUBLE_EQ(view.refused_per_second, 1);
}

TEST(TopView, IsOfLinesThatATerminalObeysInNothing) {
  ServerStatisticsResult after = At(absl::Seconds(2), {Method("Run\033[2J", 5, 0)});
  after.version = "1\n2\u009b";
  std::string shown;
  for (const std::string& line : TopLines(Compare(At(absl::Seconds(1), {}), after), "host\007", 80, 24)) shown += line;
  EXPECT_THAT(shown, AllOf(HasSubstr("spikeserve 1 2\\u009b at host\\u0007, "), HasSubstr("Run\\u001b[2J")));
  EXPECT_EQ(shown.find_first_of("\033\007\n"), shown.npos);
}

TEST(TopView, FitsTheTerminal) {
  std::vector<MethodStatistics> methods;
  for (int i = 0; i < 40; ++i) methods.push_back(Method(absl::StrCat("StreamKernelDotProduct", i), 1'000'000'000, 5));
  const TopView view = Compare(At(absl::ZeroDuration(), {}), At(absl::Seconds(1), methods));
  for (const size_t columns : {20, 80, 200}) {
    for (const size_t rows : {1, 24, 100}) {
      const auto lines = TopLines(view, "unix:/a/socket/with/a/long/path", columns, rows);
      EXPECT_LE(lines.size(), rows);
      for (const std::string& line : lines) EXPECT_LE(line.size(), columns);
    }
  }
  // All of a line of usual numbers is within 80 columns.
  const TopView usual = Compare(At(absl::ZeroDuration(), {}),
                                At(absl::Hours(100), {Method("StreamKernelDotProduct", 400'000'000, 3, 5)}));
  for (const std::string& line : TopLines(usual, "127.0.0.1:50051", 200, 24)) EXPECT_LE(line.size(), 80u) << line;
}

class SpikectlTop : public SpikectlWithServer {
 protected:
  // Some calls that succeed, and one that fails.
  void MakeCalls() const {
    Output("load --method spike-cluster --calls 50");
    Error("network reset absent", 1);
  }
};

TEST_F(SpikectlTop, StatisticsCountCallsByMethodAndCode) {
  MakeCalls();
  const json statistics = Json("statistics");
  EXPECT_EQ(statistics.at("failed_by_code"), json::parse(R"({"NOT_FOUND": 1})"));
  const json& method = statistics.at("methods").at("SpikeCluster");
  EXPECT_EQ(method.at("calls"), json::parse(R"({"OK": 51})"));  // One to connect.
  EXPECT_EQ(method.at("compute").at("calls"), 51);
  EXPECT_GT(method.at("compute").at("p50_ms"), 0);
  EXPECT_LE(method.at("compute").at("p50_ms"), method.at("compute").at("p99_ms"));
  EXPECT_GT(method.at("request_bytes"), 51 * 4000);
  EXPECT_THAT(Output("statistics"), AllOf(HasSubstr("\nmethod "), HasSubstr("\nSpikeCluster ")));
}

TEST_F(SpikectlTop, OnceShowsOneSecond) {
  const json top = Json("top --once").at("top");
  // The first look, which ended after it was taken.
  EXPECT_EQ(top.at("methods").at(0).at("method"), "ServerStatistics");
  EXPECT_GT(top.at("calls_per_second"), 0);
  EXPECT_THAT(Output("top"), AllOf(StartsWith("spikeserve "), HasSubstr(" at " + server_ + ", up "),
                                   HasSubstr("\nServerStatistics "), Not(HasSubstr("\033"))));
}

TEST_F(SpikectlTop, NeedsAServerThatAnswers) {
  EXPECT_THAT(Error("top --server unix:absent.sock", 1), StartsWith("spikectl: UNAVAILABLE: "));
}

// What top shows until `wanted` is there and `key` is typed.
std::optional<OnTerminal> Watch(const std::string& server, const std::string& wanted, char key) {
  const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  bool typed = false;
  return RunOnTerminal({"top", "--server", server.c_str()}, &size, [&](int terminal, const std::string& shown) {
    if (typed || shown.find(wanted) == shown.npos) return;
    typed = true;
    EXPECT_EQ(write(terminal, &key, 1), 1);
  });
}

TEST_F(SpikectlTop, OnATerminalItIsShownAnewEachSecondUntilAKeyEndsIt) {
  MakeCalls();
  for (const char key : {'q', '\3'}) {
    const auto watched = Watch(server_, "\nServerStatistics ", key);
    if (!watched) GTEST_SKIP() << "no pseudo-terminals here";
    EXPECT_EQ(watched->exit_code, 0);
    EXPECT_THAT(watched->shown, AllOf(HasSubstr("calls/s "), HasSubstr("METHOD ")));
    // It takes a screen of its own, and gives it back.
    EXPECT_THAT(watched->shown, AllOf(StartsWith("\033[?1049h"), HasSubstr("\033[?1049l")));
    const std::string home = std::regex_replace(watched->shown, std::regex("\033\\[H"), "\n");
    const std::string text = std::regex_replace(home, std::regex("\033\\[[?0-9]*[a-zA-Z]|\r"), "");
    for (const auto line : absl::StrSplit(text, '\n')) EXPECT_LE(line.size(), 80u) << line;
  }
}

}  // namespace
}  // namespace spikeserve::testing

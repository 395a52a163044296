#include "telemetry/log_line.h"

#include <random>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace spikeserve::telemetry {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::MatchesRegex;

const absl::Time kTime = absl::FromUnixMillis(1'764'126'420'007);

std::string Line(LogFormat format, std::string_view value) {
  return FormatLogLine(format, kTime, LogLevel::kInfo, "call", {{"status", value}});
}

// What a reader of the JSON line gets of `value`.
std::string Read(std::string_view value) {
  return json::parse(Line(LogFormat::kJson, value)).at("status").get<std::string>();
}

TEST(LogLine, JsonHasTheFieldsInOrder) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, kTime, LogLevel::kWarning, "call failed",
                          {{"method", std::string_view("SpikeCluster")},
                           {"compute_ms", 1.25},
                           {"request_bytes", int64_t{9'000'000'000}}}),
            R"({"time":"2025-11-26T03:07:00.007Z","level":"warning","message":"call failed","method":"SpikeCluster",)"
            R"("compute_ms":1.250,"request_bytes":9000000000})");
}

TEST(LogLine, TextIsForPeople) {
  EXPECT_EQ(
      FormatLogLine(LogFormat::kText, kTime, LogLevel::kInfo, "slow call",
                    {{"method", std::string_view("Run")}, {"status", std::string_view("v: absent")}, {"ms", 2.0}}),
      R"(2025-11-26T03:07:00.007Z info    slow call method=Run status="v: absent" ms=2.000)");
}

TEST(LogLine, TimesAreRfc3339WithMilliseconds) {
  EXPECT_THAT(FormatLogLine(LogFormat::kText, absl::Now(), LogLevel::kDebug, "x", {}),
              MatchesRegex("20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9][.][0-9][0-9][0-9]Z .*"));
}

TEST(LogLine, StringsComeBackAsTheyWere) {
  for (const std::string text :
       {"", "v: absent; need a tensor", "\"quoted\" \\ back", "tab\t newline\n null", "\x01\x1f\x7f",
        "\u0080\u009b2J\u009f\u00a0", "grün – 測試 – \xF0\x9F\xA7\xA0", "\xEF\xBF\xBD", "</script>"}) {
    EXPECT_EQ(Read(text), text);
  }
  EXPECT_EQ(Read(std::string_view("a\0b", 3)), std::string("a\0b", 3));
}

TEST(LogLine, BytesThatAreNoUtf8AreReplaced) {
  EXPECT_EQ(Read("a\xFF"
                 "b"),
            "a\xEF\xBF\xBD"
            "b");
  for (const char* bytes : {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
                            "\xE2\x82", "\xF0\x9F\xA7", "\xC3"}) {
    std::string replaced;
    for (size_t i = 0; i < std::string_view(bytes).size(); ++i) replaced += "\xEF\xBF\xBD";
    EXPECT_EQ(Read(bytes), replaced);
  }
}

TEST(LogLine, AnyBytesMakeOneLineOfValidJsonThatAPipeTakesAtOnce) {
  std::mt19937_64 random(7);
  for (int repeat = 0; repeat < 2'000; ++repeat) {
    std::string bytes(random() % 3'000, '\0');
    // Any bytes, or those that are near to UTF-8 or to escapes.
    constexpr std::string_view kNear = "\"\\\n\x7f\x80\xBF\xC2\xE0\xED\xEF\xF0\xF4 a";
    for (char& byte : bytes) {
      byte = repeat % 2 == 0 ? static_cast<char>(random()) : kNear[random() % kNear.size()];
    }
    const std::string line =
        FormatLogLine(LogFormat::kJson, kTime, LogLevel::kInfo, "call",
                      {{"status", std::string_view(bytes)}, {"identity", std::string_view(bytes)}});
    EXPECT_TRUE(json::accept(line)) << line;
    EXPECT_EQ(line.find('\n'), line.npos);
    EXPECT_LT(line.size(), kMaxLogLine);
    const std::string text = Line(LogFormat::kText, bytes);
    for (const char byte : text) EXPECT_TRUE(static_cast<uint8_t>(byte) >= 0x20 && byte != 0x7F) << text;
  }
}

TEST(LogLine, NothingInItIsForATerminalToObey) {
  EXPECT_THAT(Line(LogFormat::kText, "a\u009b2Jb"), EndsWith(R"( status="a\u009b2Jb")"));
}

TEST(LogLine, LongStringsAreCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 2'000; ++i) text += "ü";
  const std::string read = Read(text);
  EXPECT_THAT(read, EndsWith("..."));
  EXPECT_EQ(text.substr(0, read.size() - 3), read.substr(0, read.size() - 3));
  EXPECT_GT(read.size(), 1'000u);
  EXPECT_LT(read.size(), 1'100u);
}

TEST(LogLine, TextQuotesWhatIsNoWord) {
  EXPECT_THAT(Line(LogFormat::kText, "10.0.0.1:50051"), EndsWith(" status=10.0.0.1:50051"));
  EXPECT_THAT(Line(LogFormat::kText, ""), EndsWith(" status=\"\""));
  EXPECT_THAT(Line(LogFormat::kText, "a=b"), EndsWith(" status=\"a=b\""));
  EXPECT_THAT(Line(LogFormat::kText, "x\nlevel=error"), EndsWith(R"( status="x\u000alevel=error")"));
}

}  // namespace
}  // namespace spikeserve::telemetry

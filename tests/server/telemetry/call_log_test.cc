#include "telemetry/call_log.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/telemetry/log_testing.h"

namespace spikeserve::telemetry {
namespace {

using nlohmann::json;
using server::CallReport;
using server::CallTimes;
using testing::PipedLog;

struct Ended {
  absl::Status status = absl::OkStatus();
  bool refused = false;
  bool in_order = false;
  CallTimes times = {};
  server::Caller caller = {};
  const char* path = "/spikeserve.v1.SpikeFunctionService/SpikeCluster";
};

// The lines of a log of `level` when these calls have ended.
std::vector<json> Lines(const std::vector<Ended>& calls, LogLevel level = LogLevel::kDebug,
                        absl::Duration slow = absl::Seconds(1)) {
  PipedLog piped({.format = LogFormat::kJson, .level = level});
  CallLog log(piped.log(), slow);
  for (const Ended& call : calls) {
    log.OnEnd({.path = call.path,
               .caller = call.caller,
               .status = call.status,
               .refused = call.refused,
               .in_order = call.in_order,
               .times = call.times,
               .total = absl::Milliseconds(12.5),
               .request_bytes = 4096});
  }
  return piped.EndJson();
}

// The level of the one line of such a call.
std::string LevelOf(const Ended& call) {
  const std::vector<json> lines = Lines({call});
  EXPECT_EQ(lines.size(), 1u);
  return lines.at(0).at("level").get<std::string>();
}

TEST(CallLog, TellsOfACallWhatThereIsToTell) {
  const std::vector<json> lines =
      Lines({{.status = absl::InvalidArgumentError("v: absent; need a tensor"),
              .times = {.queue = absl::Microseconds(10),
                        .decode = absl::Microseconds(20),
                        .compute = absl::Milliseconds(3),
                        .encode = absl::Microseconds(40)},
              .caller = {.identity = "alice",
                         .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                         .peer = "ipv4:192.0.2.1:51234"}}});
  ASSERT_EQ(lines.size(), 1u);
  json line = lines[0];
  EXPECT_TRUE(line.contains("time"));
  line.erase("time");
  EXPECT_EQ(line, json::parse(R"({"level": "info", "message": "call failed", "method": "SpikeCluster",
      "code": "INVALID_ARGUMENT", "status": "v: absent; need a tensor", "identity": "alice", "peer": "ipv4:192.0.2.1:51234",
      "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
      "queue_ms": 0.01, "decode_ms": 0.02, "compute_ms": 3.0, "encode_ms": 0.04, "total_ms": 12.5,
      "request_bytes": 4096})"));
}

TEST(CallLog, LeavesOutWhatThereIsNot) {
  const json line = Lines({{.caller = {.traceparent = "00-malformed"}, .path = ""}}).at(0);
  EXPECT_EQ(line.at("method"), "other");
  EXPECT_EQ(line.at("code"), "OK");
  for (const char* absent : {"status", "identity", "peer", "trace_id", "span_id", "suppressed"}) {
    EXPECT_FALSE(line.contains(absent)) << absent;
  }
}

TEST(CallLog, LinesThatAreNotShownCount) {
  PipedLog piped({.level = LogLevel::kError});
  CallLog log(piped.log(), absl::Seconds(1));
  log.OnEnd({.path = "", .caller = {}, .status = absl::OkStatus()});
  log.OnEnd({.path = "", .caller = {}, .status = absl::InternalError("x")});
  EXPECT_EQ(piped.log().lines(LogLevel::kDebug), 1);
  EXPECT_EQ(piped.log().lines(LogLevel::kWarning), 1);
  EXPECT_EQ(piped.End(), "");
}

TEST(CallLog, WarnsOfWhatIsTheServersFault) {
  for (const absl::Status& status :
       {absl::InternalError("x"), absl::UnknownError("x"), absl::DataLossError("x"), absl::UnavailableError("x")}) {
    EXPECT_EQ(LevelOf({.status = status}), "warning") << status;
  }
}

TEST(CallLog, WarnsOfCallsThatItHasNoRoomForAndOfNobodyKnown) {
  EXPECT_EQ(LevelOf({.status = absl::ResourceExhaustedError("x"), .refused = true}), "warning");
  EXPECT_EQ(LevelOf({.status = absl::UnavailableError("x"), .refused = true}), "warning");
  EXPECT_EQ(LevelOf({.status = absl::UnauthenticatedError("x")}), "warning");
}

// A call that is too large for its server, or that computed for too long, tells nothing of how much there is to do.
TEST(CallLog, ACallersOwnExcessIsAMistakeLikeOthers) {
  EXPECT_EQ(LevelOf({.status = absl::ResourceExhaustedError("x")}), "info");
  EXPECT_EQ(LevelOf({.status = absl::ResourceExhaustedError("x"), .times = {.compute = absl::Seconds(2)}}), "info");
}

TEST(CallLog, WarningsOfOneKindDoNotHideThoseOfAnother) {
  const Ended full = {.status = absl::ResourceExhaustedError("x"), .refused = true};
  const Ended draining = {.status = absl::UnavailableError("x"), .refused = true};
  const Ended nobody = {.status = absl::UnauthenticatedError("x")};
  EXPECT_GE(Lines({full, draining, nobody, full, draining, nobody}, LogLevel::kWarning).size(), 3u);
}

TEST(CallLog, MistakesOfCallersAreToldAndDoNotWarn) {
  for (const absl::Status& status :
       {absl::InvalidArgumentError("x"), absl::NotFoundError("x"), absl::UnimplementedError("x"),
        absl::CancelledError("x"), absl::DeadlineExceededError("x"), absl::PermissionDeniedError("x"),
        absl::FailedPreconditionError("x"), absl::AbortedError("x")}) {
    EXPECT_EQ(LevelOf({.status = status}), "info") << status;
  }
}

TEST(CallLog, ManyMistakesOfOneKindAreOneLineAndHideNoOthers) {
  std::vector<Ended> calls(1000, {.status = absl::NotFoundError("x")});
  calls.push_back({.status = absl::InvalidArgumentError("y")});
  const std::vector<json> lines = Lines(calls, LogLevel::kInfo);
  EXPECT_LT(lines.size(), 100u);
  EXPECT_EQ(lines.front().at("code"), "NOT_FOUND");
  EXPECT_EQ(lines.back().at("code"), "INVALID_ARGUMENT");
}

TEST(CallLog, ACallIsSlowThatKeepsTheServerForLong) {
  const auto half = absl::Milliseconds(500);
  EXPECT_EQ(LevelOf({.times = {.queue = half, .compute = half}}), "info");
  EXPECT_EQ(LevelOf({.times = {.decode = half, .encode = half}}), "info");
  EXPECT_EQ(LevelOf({.times = {.compute = absl::Milliseconds(999)}}), "debug");
  EXPECT_EQ(Lines({{}}, LogLevel::kInfo, absl::ZeroDuration()).size(), 1u);  // From 0 on: all calls.
}

TEST(CallLog, WritesNothingOfQuietCallsByDefault) { EXPECT_TRUE(Lines({{}, {}}, LogLevel::kInfo).empty()); }

TEST(CallLog, OverloadDoesNotDrownTheLog) {
  std::vector<Ended> calls(1000, {.status = absl::ResourceExhaustedError("calls: too many"), .refused = true});
  calls.push_back({.status = absl::InternalError("boom")});
  const std::vector<json> lines = Lines(calls, LogLevel::kInfo);
  // One line a second of the refused calls, none of which may be lost in the counts.
  int64_t told = 0;
  for (const json& line : lines) {
    if (line.at("message") == "call refused") told += 1 + line.value("suppressed", 0);
  }
  EXPECT_GE(told, 1);
  EXPECT_LE(told, 1000);
  EXPECT_LT(lines.size(), 100u);
  EXPECT_EQ(lines.back().at("message"), "call failed");
}

TEST(CallLog, AnyBytesOfACallMakeValidJson) {
  const json line = Lines({{.status = absl::InvalidArgumentError("\xFF\"\n\x01"),
                            .caller = {.identity = "\xC0{\"", .traceparent = std::string(5000, '\xFF')}}})
                        .at(0);
  EXPECT_EQ(line.at("status"), "\xEF\xBF\xBD\"\n\x01");
  EXPECT_FALSE(line.contains("trace_id"));
}

TEST(Throttle, LetsOneThroughInEachPeriodAndCountsTheRest) {
  Throttle throttle(absl::Seconds(1));
  const absl::Time start = absl::FromUnixSeconds(1'000'000);
  EXPECT_EQ(throttle.Admit(start), 0);
  EXPECT_EQ(throttle.Admit(start), std::nullopt);
  EXPECT_EQ(throttle.Admit(start + absl::Milliseconds(999)), std::nullopt);
  EXPECT_EQ(throttle.Admit(start + absl::Seconds(1)), 2);
  EXPECT_EQ(throttle.Admit(start + absl::Seconds(10)), 0);
  EXPECT_EQ(throttle.Admit(start + absl::Seconds(10.5)), std::nullopt);
  EXPECT_EQ(throttle.Admit(start + absl::Seconds(11)), 1);
}

}  // namespace
}  // namespace spikeserve::telemetry

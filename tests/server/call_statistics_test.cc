#include "runtime/call_statistics.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/method.h"
#include "runtime/stream_method.h"

namespace spikeserve::server {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr char kCluster[] = "/spikeserve.v1.SpikeFunctionService/SpikeCluster";
constexpr char kRun[] = "/spikeserve.v1.SpikeNetworkService/Run";

struct Ended {
  const char* path = kCluster;
  std::string identity = "";
  absl::Status status = absl::OkStatus();
  bool refused = false;
  CallTimes times = {};
  int64_t request_bytes = 0;
};

void Record(CallStatistics& statistics, const Ended& call) {
  const Caller caller{.identity = call.identity};
  statistics.Record({.path = call.path,
                     .caller = caller,
                     .status = call.status,
                     .refused = call.refused,
                     .times = call.times,
                     .request_bytes = call.request_bytes});
}

MethodCounts Find(const CallStatistics& statistics, std::string_view name) {
  for (const MethodCounts& method : statistics.ReadMethods()) {
    if (method.method == name) return method;
  }
  ADD_FAILURE() << "no method " << name;
  return {};
}

int64_t At(const CallsByCode& calls, absl::StatusCode code) { return calls[static_cast<int>(code)]; }

TEST(TimeHistogram, BoundsAreTenToADecadeFromAMicrosecondToAHundredSeconds) {
  EXPECT_EQ(kTimeBounds.front(), 1'000);
  EXPECT_EQ(kTimeBounds.back(), 100'000'000'000);
  for (size_t i = 1; i < kTimeBounds.size(); ++i) {
    const double ratio = static_cast<double>(kTimeBounds[i]) / static_cast<double>(kTimeBounds[i - 1]);
    EXPECT_GE(ratio, 1.24) << i;
    EXPECT_LE(ratio, 1.281) << i;
  }
  for (size_t i = 10; i < kTimeBounds.size(); ++i) EXPECT_EQ(kTimeBounds[i], 10 * kTimeBounds[i - 10]);
}

TEST(TimeHistogram, CountsEachTimeInTheFirstBucketWhoseBoundItDoesNotExceed) {
  std::mt19937_64 random(1);
  std::vector<int64_t> times = {
      0, 1, 999, 1'000, 1'001, 1'250, 1'251, 100'000'000'000, 100'000'000'001, int64_t{1} << 60};
  // Of all sizes, and at the bounds.
  for (int i = 0; i < 5'000; ++i) times.push_back(static_cast<int64_t>(random() >> (random() % 60 + 4)));
  for (const int64_t bound : kTimeBounds) times.insert(times.end(), {bound - 1, bound, bound + 1});
  TimeHistogram histogram;
  TimeCounts wanted;
  for (const int64_t time : times) {
    histogram.Record(absl::Nanoseconds(time));
    size_t bucket = 0;
    while (bucket < kTimeBounds.size() && time > kTimeBounds[bucket]) ++bucket;
    ++wanted.buckets[bucket];
  }
  EXPECT_EQ(histogram.Read().buckets, wanted.buckets);
  EXPECT_EQ(histogram.Read().count(), static_cast<int64_t>(times.size()));
}

TEST(TimeHistogram, TotalsAreExact) {
  TimeHistogram histogram;
  for (const int64_t time : {1, 20, 300, 4'000'000}) histogram.Record(absl::Nanoseconds(time));
  EXPECT_EQ(histogram.Read().total, absl::Nanoseconds(4'000'321));
}

TEST(CallStatistics, EveryMethodHasANameOfItsOwn) {
  const CallStatistics statistics({});
  std::set<std::string_view> names;
  for (const MethodCounts& method : statistics.ReadMethods()) {
    EXPECT_TRUE(names.insert(method.method).second) << method.method;
    EXPECT_FALSE(method.called());
  }
  EXPECT_EQ(names.size(), Methods().size() + StreamMethods().size() + 1);
  EXPECT_EQ(statistics.ReadMethods().back().method, "other");
}

TEST(CallStatistics, CountsCallsByMethodAndCode) {
  CallStatistics statistics({});
  Record(statistics, {.request_bytes = 30});
  Record(statistics, {.request_bytes = 12});
  Record(statistics, {.status = absl::InvalidArgumentError("bad")});
  Record(statistics, {.path = kRun, .status = absl::UnauthenticatedError("who?")});
  const MethodCounts cluster = Find(statistics, "SpikeCluster");
  EXPECT_EQ(At(cluster.calls, absl::StatusCode::kOk), 2);
  EXPECT_EQ(At(cluster.calls, absl::StatusCode::kInvalidArgument), 1);
  EXPECT_EQ(cluster.request_bytes, 42);
  EXPECT_EQ(At(Find(statistics, "Run").calls, absl::StatusCode::kUnauthenticated), 1);
  EXPECT_FALSE(Find(statistics, "Forward").called());
}

TEST(CallStatistics, MethodsThatTheServerDoesNotHaveAreOne) {
  CallStatistics statistics({});
  Record(statistics, {.path = "", .status = absl::UnimplementedError("no method")});
  Record(statistics, {.path = "/made.up/Name", .status = absl::UnimplementedError("no method")});
  EXPECT_EQ(At(Find(statistics, "other").calls, absl::StatusCode::kUnimplemented), 2);
}

TEST(CallStatistics, ACallCountsForThePartsThatItCameTo) {
  CallStatistics statistics({});
  Record(statistics, {.times = {.queue = absl::Microseconds(3), .decode = absl::Microseconds(5)}});
  Record(statistics, {.times = {.queue = absl::Microseconds(3), .compute = absl::Microseconds(7)}});
  const MethodCounts counts = Find(statistics, "SpikeCluster");
  EXPECT_EQ(counts.queue.count(), 2);
  EXPECT_EQ(counts.queue.total, absl::Microseconds(6));
  EXPECT_EQ(counts.decode.count(), 1);
  EXPECT_EQ(counts.compute.count(), 1);
  EXPECT_EQ(counts.encode.count(), 0);
}

TEST(CallStatistics, TheTimesOfRefusedCallsDoNotMakeTheOthersLookFast) {
  CallStatistics statistics({});
  Record(statistics,
         {.status = absl::ResourceExhaustedError("full"), .refused = true, .times = {.encode = absl::Microseconds(1)}});
  const MethodCounts counts = Find(statistics, "SpikeCluster");
  EXPECT_EQ(At(counts.calls, absl::StatusCode::kResourceExhausted), 1);
  EXPECT_EQ(counts.encode.count(), 0);
}

TEST(CallStatistics, IdentitiesAreThoseKnownAtFirstAndThoseThatCame) {
  CallStatistics statistics({"alice", "bob", "alice", "carol"});
  for (const char* identity : {"alice", "alice", "bob", "", "mallory", "eve", "alice "}) {
    Record(statistics, {.identity = identity});
  }
  std::vector<std::string_view> names;
  std::map<std::string_view, int64_t> calls;
  for (const IdentityCounts& identity : statistics.ReadIdentities()) {
    names.push_back(identity.identity);
    calls[identity.identity] = At(identity.calls, absl::StatusCode::kOk);
  }
  EXPECT_THAT(names, ElementsAre("alice", "alice ", "anonymous", "bob", "carol", "eve", "mallory", "other"));
  EXPECT_EQ(calls["alice"], 2);
  EXPECT_EQ(calls["carol"], 0);
  EXPECT_EQ(calls["mallory"], 1);
  EXPECT_EQ(calls["anonymous"], 1);
  EXPECT_EQ(calls["other"], 0);
}

TEST(CallStatistics, TooManyIdentitiesAreOthers) {
  CallStatistics statistics({"alice"});
  constexpr int64_t kMany = CallStatistics::kMaxIdentities + 10;
  for (int64_t i = 0; i < kMany; ++i) Record(statistics, {.identity = absl::StrCat("client", i)});
  const std::vector<IdentityCounts> identities = statistics.ReadIdentities();
  EXPECT_EQ(identities.size(), CallStatistics::kMaxIdentities + 3);  // With alice, anonymous and other.
  int64_t others = 0, all = 0;
  for (const IdentityCounts& identity : identities) {
    const int64_t calls = At(identity.calls, absl::StatusCode::kOk);
    all += calls;
    if (identity.identity == "other") others = calls;
  }
  EXPECT_EQ(others, 10);
  EXPECT_EQ(all, kMany);
}

// A label has one series.
TEST(CallStatistics, WhoIsCalledOtherIsAmongTheOthers) {
  CallStatistics statistics({"other", "anonymous"});
  Record(statistics, {.identity = "other"});
  ASSERT_EQ(statistics.ReadIdentities().size(), 2u);
  EXPECT_EQ(At(statistics.ReadIdentities()[1].calls, absl::StatusCode::kOk), 1);
}

TEST(CallStatistics, NoCallIsLostWhereManyThreadsCount) {
  constexpr int kThreads = 4, kCalls = 10'000;
  CallStatistics statistics({"alice"});
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&statistics] {
      for (int call = 0; call < kCalls; ++call) {
        Record(statistics, {.identity = "alice", .times = {.compute = absl::Microseconds(call)}, .request_bytes = 2});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const MethodCounts counts = Find(statistics, "SpikeCluster");
  EXPECT_EQ(At(counts.calls, absl::StatusCode::kOk), kThreads * kCalls);
  EXPECT_EQ(counts.request_bytes, 2 * kThreads * kCalls);
  EXPECT_EQ(counts.compute.count(), kThreads * (kCalls - 1));  // One of each took no time.
  EXPECT_EQ(counts.compute.total, kThreads * absl::Microseconds(int64_t{kCalls} * (kCalls - 1) / 2));
}

}  // namespace
}  // namespace spikeserve::server

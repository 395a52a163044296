#include "telemetry/server_metrics.h"

#include <limits>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "runtime/call_statistics.h"

namespace spikeserve::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using server::CallStatistics;
using ::testing::MatchesRegex;

constexpr char kCluster[] = "/spikeserve.v1.SpikeFunctionService/SpikeCluster";

void Record(CallStatistics& calls, const absl::Status& status, server::CallTimes times = {},
            std::string identity = "") {
  const server::Caller caller{.identity = std::move(identity)};
  calls.Record({.path = kCluster, .caller = caller, .status = status, .times = times, .request_bytes = 10});
}

server::Statistics Statistics(const CallStatistics& calls) {
  return {.methods = calls.ReadMethods(), .identities = calls.ReadIdentities()};
}

const MetricFamily& Find(const std::vector<MetricFamily>& families, const std::string& name) {
  for (const MetricFamily& family : families) {
    if (family.name == name) return family;
  }
  ADD_FAILURE() << "no family " << name;
  static const MetricFamily none;
  return none;
}

// The series with all of these labels; null where there is none.
const ClientMetric* Series(const MetricFamily& family, const std::map<std::string, std::string>& labels) {
  for (const ClientMetric& metric : family.metric) {
    std::map<std::string, std::string> found;
    for (const auto& label : metric.label) found[label.name] = label.value;
    if (found == labels) return &metric;
  }
  return nullptr;
}

TEST(ServerMetrics, TellCallsByMethodAndCode) {
  CallStatistics calls({});
  for (int i = 0; i < 3; ++i) Record(calls, absl::OkStatus());
  Record(calls, absl::InvalidArgumentError("bad"));
  const auto families = ServerFamilies(Statistics(calls), {}, {});
  const MetricFamily& family = Find(families, "spikeserve_calls_total");
  EXPECT_EQ(family.type, MetricType::Counter);
  EXPECT_EQ(Series(family, {{"method", "SpikeCluster"}, {"code", "OK"}})->counter.value, 3);
  EXPECT_EQ(Series(family, {{"method", "SpikeCluster"}, {"code", "INVALID_ARGUMENT"}})->counter.value, 1);
  EXPECT_EQ(Series(Find(families, "spikeserve_request_bytes_total"), {{"method", "SpikeCluster"}})->counter.value, 40);
}

// A rate misses what a series begins with.
TEST(ServerMetrics, SeriesThatAlertsAreMadeOfAreThereBeforeTheFirstCall) {
  const auto families = ServerFamilies(Statistics(CallStatistics({})), {}, {});
  const MetricFamily& family = Find(families, "spikeserve_calls_total");
  for (const char* method : {"SpikeCluster", "TrainStep", "Run", "StreamSpikeCluster", "other"}) {
    for (const char* code : {"OK", "INTERNAL", "UNKNOWN", "DATA_LOSS"}) {
      const ClientMetric* series = Series(family, {{"method", method}, {"code", code}});
      ASSERT_NE(series, nullptr) << method << code;
      EXPECT_EQ(series->counter.value, 0);
    }
    EXPECT_EQ(Series(family, {{"method", method}, {"code", "NOT_FOUND"}}), nullptr);
  }
}

TEST(ServerMetrics, HistogramsAreCumulativeAndHaveTheBucketsOfTheirBounds) {
  CallStatistics calls({});
  for (const int64_t microseconds : {3, 10, 11, 300, 2'500'000}) {
    Record(calls, absl::OkStatus(), {.compute = absl::Microseconds(microseconds)});
  }
  Record(calls, absl::OkStatus(), {.compute = absl::Seconds(1000)});
  const auto families = ServerFamilies(Statistics(calls), {}, {});
  const ClientMetric* series = Series(Find(families, "spikeserve_call_compute_seconds"), {{"method", "SpikeCluster"}});
  ASSERT_NE(series, nullptr);
  const ClientMetric::Histogram& histogram = series->histogram;
  EXPECT_EQ(histogram.sample_count, 6u);
  EXPECT_DOUBLE_EQ(histogram.sample_sum, 1002.500324);
  const std::map<double, uint64_t> wanted = {
      {1e-5, 2}, {2.5e-5, 3}, {2.5e-4, 3}, {5e-4, 4},
      {1, 4},    {2.5, 5},    {100, 5},    {std::numeric_limits<double>::infinity(), 6}};
  std::map<double, uint64_t> buckets;
  for (const auto& bucket : histogram.bucket) buckets[bucket.upper_bound] = bucket.cumulative_count;
  EXPECT_EQ(buckets.size(), histogram.bucket.size());
  EXPECT_EQ(buckets.size(), 3 * 7 + 2u);  // 1, 2.5 and 5 in seven decades, 100 s, and the rest.
  for (const auto& [bound, count] : wanted) EXPECT_EQ(buckets.at(bound), count) << bound;
}

TEST(ServerMetrics, IdentitiesAreThoseThatCallsProved) {
  CallStatistics calls({"alice"});
  Record(calls, absl::OkStatus(), {}, "alice");
  Record(calls, absl::OkStatus(), {}, "mallory");
  Record(calls, absl::OkStatus());
  const auto families = ServerFamilies(Statistics(calls), {}, {});
  std::set<std::string> identities;
  const MetricFamily& family = Find(families, "spikeserve_identity_calls_total");
  for (const ClientMetric& metric : family.metric) {
    for (const auto& label : metric.label) {
      if (label.name == "identity") identities.insert(label.value);
    }
  }
  EXPECT_EQ(identities, (std::set<std::string>{"alice", "anonymous", "mallory", "other"}));
  EXPECT_EQ(Series(family, {{"identity", "alice"}, {"code", "OK"}})->counter.value, 1);
}

TEST(ServerMetrics, TellOfTheServerWhatItsStatisticsTell) {
  server::Statistics statistics;
  statistics.threads = 3;
  statistics.calls_in_progress = 5;
  statistics.calls_refused = 7;
  statistics.streams = 2;
  statistics.draining = true;
  statistics.answers_given_up = 43;
  statistics.bytes_in_flight = 37;
  statistics.tasks_waiting = 11;
  statistics.networks = {13, 1700};
  statistics.networks_expired = 47;
  statistics.buffers = {.bytes_in_use = 19, .idle_bytes = 23};
  server::Limits limits;
  limits.max_calls = 29;
  limits.max_bytes_in_flight = 41;
  const auto families =
      ServerFamilies(statistics, limits, {.log_warnings = 53, .log_errors = 59, .log_lines_dropped = 31});
  const std::map<std::string, double> gauges = {{"spikeserve_threads", 3},
                                                {"spikeserve_draining", 1},
                                                {"spikeserve_calls_in_progress", 5},
                                                {"spikeserve_streams_open", 2},
                                                {"spikeserve_bytes_in_flight", 37},
                                                {"spikeserve_max_bytes_in_flight", 41},
                                                {"spikeserve_tasks_waiting", 11},
                                                {"spikeserve_networks", 13},
                                                {"spikeserve_network_bytes", 1700},
                                                {"spikeserve_max_calls", 29},
                                                {"spikeserve_buffers_in_use_bytes", 19},
                                                {"spikeserve_buffers_idle_bytes", 23}};
  for (const auto& [name, value] : gauges) EXPECT_EQ(Find(families, name).metric.at(0).gauge.value, value) << name;
  EXPECT_EQ(Find(families, "spikeserve_calls_refused_total").metric.at(0).counter.value, 7);
  EXPECT_EQ(Find(families, "spikeserve_log_lines_dropped_total").metric.at(0).counter.value, 31);
  EXPECT_EQ(Find(families, "spikeserve_networks_expired_total").metric.at(0).counter.value, 47);
  const MetricFamily& lines = Find(families, "spikeserve_log_lines_total");
  EXPECT_EQ(Series(lines, {{"level", "warning"}})->counter.value, 53);
  EXPECT_EQ(Series(lines, {{"level", "error"}})->counter.value, 59);
  EXPECT_EQ(Find(families, "spikeserve_answers_given_up_total").metric.at(0).counter.value, 43);
}

TEST(ServerMetrics, TellOfCertificateAndStateWhereThereAreSome) {
  const auto names = [](const ProcessFacts& facts) {
    std::map<std::string, double> gauges;
    for (const MetricFamily& family : ServerFamilies({}, {}, facts)) {
      if (family.type == prometheus::MetricType::Gauge) gauges[family.name] = family.metric.at(0).gauge.value;
    }
    return gauges;
  };
  constexpr char kExpiry[] = "spikeserve_tls_certificate_expiry_timestamp_seconds";
  constexpr char kSaved[] = "spikeserve_state_saved_timestamp_seconds";
  constexpr char kFailed[] = "spikeserve_state_failed_saves";
  const auto without = names({});
  for (const char* name : {kExpiry, kSaved, kFailed}) EXPECT_EQ(without.count(name), 0u) << name;
  auto with = names({.certificate_expiry = absl::FromUnixSeconds(1'900'000'000),
                     .saved = ProcessFacts::Saved{absl::FromUnixSeconds(1'800'000'000), 3}});
  EXPECT_EQ(with[kExpiry], 1'900'000'000);
  EXPECT_EQ(with[kSaved], 1'800'000'000);
  EXPECT_EQ(with[kFailed], 3);
  EXPECT_EQ(names({.saved = ProcessFacts::Saved{absl::InfinitePast(), 1}})[kSaved], 0);
}

TEST(ServerMetrics, ThePageHasEachSeriesOnceAndProcessMetricsWithIt) {
  server::EngineOptions options;
  options.identities = {"alice"};
  server::Engine engine(options);
  const ServerMetrics metrics(engine, [] { return ProcessFacts(); });
  const std::string page = prometheus::TextSerializer().Serialize(metrics.Collect());
  std::set<std::string> series;
  for (const auto line : absl::StrSplit(page, '\n', absl::SkipEmpty())) {
    if (line[0] == '#') continue;
    EXPECT_THAT(std::string(line), MatchesRegex("[a-z_]+([{][^}]*[}])? [0-9.e+-]+"));
    EXPECT_TRUE(series.insert(std::string(line.substr(0, line.rfind(' ')))).second) << line;
  }
  for (const char* name : {"process_cpu_seconds_total", "process_start_time_seconds", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_open_fds", "process_max_fds"}) {
    EXPECT_TRUE(series.contains(name)) << name;
  }
}

TEST(ServerMetrics, OfTheProcessAreWhatTheSystemTells) {
  server::Engine engine({});
  const auto families = ServerMetrics(engine, [] { return ProcessFacts(); }).Collect();
  const auto value = [&](const char* name) { return Find(families, name).metric.at(0).gauge.value; };
  EXPECT_GT(value("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GE(value("process_virtual_memory_bytes"), value("process_resident_memory_bytes"));
  EXPECT_GE(value("process_open_fds"), 3);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LT(value("process_start_time_seconds"), now + 1);
  EXPECT_GT(value("process_start_time_seconds"), now - 3600);
}

}  // namespace
}  // namespace spikeserve::telemetry

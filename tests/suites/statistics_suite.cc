// What a server tells of itself, over every transport.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/statistics.h"
#include "suites/run_testing.h"

namespace spikeserve::testing {
namespace {

class StatisticsSuite : public RunTest {
 protected:
  ServerStatisticsResult Statistics() {
    const absl::StatusOr<ServerStatisticsResult> result = client().ServerStatistics();
    EXPECT_TRUE(result.ok()) << result.status();
    return *result;
  }
};
SPIKESERVE_OVER_ALL_TRANSPORTS(StatisticsSuite);

MethodStatistics Find(const ServerStatisticsResult& statistics, const std::string& name) {
  for (const MethodStatistics& method : statistics.methods) {
    if (method.method == name) return method;
  }
  return {};
}

TEST_P(StatisticsSuite, TellOfNoMethodThatWasNotCalled) { EXPECT_TRUE(Statistics().methods.empty()); }

TEST_P(StatisticsSuite, CountEachCallOfAMethodByItsCode) {
  const std::vector<int64_t> labels = {0, 1, 2};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client().RedundantOneHot({.labels = absl::MakeConstSpan(labels), .num_classes = 3, .n = 2}).ok());
  }
  EXPECT_FALSE(client().RedundantOneHot({.labels = absl::MakeConstSpan(labels), .num_classes = 0, .n = 2}).ok());
  EXPECT_FALSE(client().AttachNetwork("absent").Reset().ok());
  const ServerStatisticsResult statistics = Statistics();
  EXPECT_EQ(Find(statistics, "RedundantOneHot").calls_by_code,
            (std::map<absl::StatusCode, int64_t>{{absl::StatusCode::kOk, 3}, {absl::StatusCode::kInvalidArgument, 1}}));
  EXPECT_EQ(statistics.failed_by_code(), (std::map<absl::StatusCode, int64_t>{{absl::StatusCode::kInvalidArgument, 1},
                                                                              {absl::StatusCode::kNotFound, 1}}));
  // A call that asks is none that has ended.
  EXPECT_EQ(statistics.calls_accepted, 6);
  EXPECT_EQ(Find(Statistics(), "ServerStatistics").calls(), 1);
}

TEST_P(StatisticsSuite, TellHowLongCallsTook) {
  const std::vector<int64_t> labels(1000, 1);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client().RedundantOneHot({.labels = absl::MakeConstSpan(labels), .num_classes = 3, .n = 2}).ok());
  }
  const ServerStatisticsResult statistics = Statistics();
  ASSERT_FALSE(statistics.bounds.empty());
  EXPECT_EQ(statistics.bounds.front(), absl::Microseconds(1));
  EXPECT_EQ(statistics.bounds.back(), absl::Seconds(100));
  EXPECT_TRUE(std::is_sorted(statistics.bounds.begin(), statistics.bounds.end()));
  const MethodStatistics method = Find(statistics, "RedundantOneHot");
  for (const TimeStatistics* times : {&method.queue, &method.decode, &method.compute, &method.encode}) {
    EXPECT_EQ(times->calls, 5);
    EXPECT_GT(times->total, absl::ZeroDuration());
    ASSERT_EQ(times->buckets.size(), statistics.bounds.size() + 1);
    int64_t counted = 0;
    for (const int64_t calls : times->buckets) counted += calls;
    EXPECT_EQ(counted, 5);
    // Of the slowest, at most the bound above.
    EXPECT_GE(times->Quantile(1, statistics.bounds) * 5, std::min(times->total, statistics.bounds.back()));
  }
}

TEST_P(StatisticsSuite, CountTheBytesThatCameOverTheWire) {
  const NetworkHandle network = OneNeuron();
  {
    auto run = network.Run({.single_step = true});
    ASSERT_TRUE(run.ok()) << run.status();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(run->Step(Step(1, 1)).ok());
    EXPECT_EQ(Statistics().streams, 1);
    ASSERT_TRUE(run->Finish().ok());
  }
  while (Statistics().streams > 0) {
  }
  const ServerStatisticsResult statistics = Statistics();
  EXPECT_EQ(Find(statistics, "Run").calls(), 1);
  EXPECT_EQ(Find(statistics, "Run").compute.calls, 1);
  const bool on_wire = GetParam() != TransportKind::kInProcess;
  // The first message has the network's name, of 32 characters.
  EXPECT_EQ(Find(statistics, "Run").request_bytes > 32, on_wire);
  EXPECT_EQ(Find(statistics, "CreateNetwork").request_bytes > 0, on_wire);
}

TEST_P(StatisticsSuite, TellWhatTheServerHolds) {
  const int64_t before = Statistics().networks;
  NetworkHandle network = OneNeuron();
  const ServerStatisticsResult statistics = Statistics();
  EXPECT_EQ(statistics.networks, before + 1);
  EXPECT_GT(statistics.network_bytes, 0);
  EXPECT_GT(statistics.resident_bytes, statistics.network_bytes);
  EXPECT_GE(statistics.threads, 1);
  ASSERT_TRUE(network.Delete().ok());
  EXPECT_EQ(Statistics().networks, before);
}

}  // namespace
}  // namespace spikeserve::testing

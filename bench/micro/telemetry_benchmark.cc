// What it costs a call to be counted and to pass the log, and a scrape to make the page.

#include <cstdio>
#include <string_view>

#include "benchmark/benchmark.h"
#include "prometheus/text_serializer.h"
#include "runtime/call_statistics.h"
#include "telemetry/call_log.h"
#include "telemetry/log.h"
#include "telemetry/server_metrics.h"

namespace spikeserve {
namespace {

using server::CallReport;

constexpr std::string_view kPath = "/spikeserve.v1.SpikeFunctionService/SpikeCluster";

const server::Caller& Caller() {
  static const server::Caller& caller =
      *new server::Caller{"alice", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"};
  return caller;
}

CallReport Report(const absl::Status& status) {
  return {.path = kPath,
          .caller = Caller(),
          .status = status,
          .times = {absl::Microseconds(2), absl::Microseconds(5), absl::Microseconds(40), absl::Microseconds(3)},
          .total = absl::Microseconds(50),
          .request_bytes = 4096};
}

server::CallStatistics& Statistics() {
  static server::CallStatistics& statistics = *new server::CallStatistics({"alice", "bob"});
  return statistics;
}

void CountACall(benchmark::State& state) {
  const absl::Status status;
  const CallReport report = Report(status);
  for (auto _ : state) Statistics().Record(report);
}
BENCHMARK(CountACall)->ThreadRange(1, 4)->UseRealTime();

// A quiet call of a log that shows it or not.
void LogACall(benchmark::State& state) {
  FILE* const nowhere = fopen("/dev/null", "w");
  telemetry::Log log(
      {telemetry::LogFormat::kJson, state.range(0) == 0 ? telemetry::LogLevel::kInfo : telemetry::LogLevel::kDebug},
      fileno(nowhere));
  telemetry::CallLog calls(log, absl::Seconds(1));
  const absl::Status status;
  const CallReport report = Report(status);
  for (auto _ : state) calls.OnEnd(report);
}
BENCHMARK(LogACall)->ArgName("shown")->Arg(0)->Arg(1);

void MakeThePage(benchmark::State& state) {
  server::Engine engine({});
  const telemetry::ServerMetrics metrics(engine, [] { return telemetry::ProcessFacts(); });
  for (auto _ : state) benchmark::DoNotOptimize(prometheus::TextSerializer().Serialize(metrics.Collect()));
}
BENCHMARK(MakeThePage)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace spikeserve

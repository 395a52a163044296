#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/commands/commands.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

Json Times(const TimeStatistics& times, const std::vector<absl::Duration>& bounds) {
  const auto milliseconds = [&](double part) { return absl::ToDoubleMilliseconds(times.Quantile(part, bounds)); };
  return {{"calls", times.calls},
          {"total_seconds", absl::ToDoubleSeconds(times.total)},
          {"p50_ms", milliseconds(0.5)},
          {"p99_ms", milliseconds(0.99)}};
}

Json ByCode(const std::map<absl::StatusCode, int64_t>& calls) {
  Json json = Json::object();
  for (const auto& [code, count] : calls) json[absl::StatusCodeToString(code)] = count;
  return json;
}

// Lines: how many calls there were of each method, and how long they took.
void AddMethods(const std::vector<MethodStatistics>& methods, const std::vector<absl::Duration>& bounds,
                Report& report) {
  Json json = Json::object();
  std::vector<std::vector<std::string>> rows = {
      {"method", "calls", "failed", "queue_p50_ms", "queue_p99_ms", "compute_p50_ms", "compute_p99_ms"}};
  for (const MethodStatistics& method : methods) {
    json[method.method] = {{"calls", ByCode(method.calls_by_code)},    {"request_bytes", method.request_bytes},
                           {"queue", Times(method.queue, bounds)},     {"decode", Times(method.decode, bounds)},
                           {"compute", Times(method.compute, bounds)}, {"encode", Times(method.encode, bounds)}};
    std::vector<std::string> row = {method.method, absl::StrCat(method.calls()), absl::StrCat(method.failed())};
    for (const TimeStatistics* times : {&method.queue, &method.compute}) {
      for (const double part : {0.5, 0.99}) {
        row.push_back(absl::StrFormat("%.3g", absl::ToDoubleMilliseconds(times->Quantile(part, bounds))));
      }
    }
    rows.push_back(std::move(row));
  }
  std::string text = Table(rows);
  absl::StripTrailingAsciiWhitespace(&text);
  report.AddText("methods", std::move(json), std::move(text));
}

class StatisticsCommand final : public Command {
 public:
  void AddOptions(CLI::App&) override {}

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const ServerStatisticsResult s, caller.Call(ServerStatisticsArgs{}));
    Report report;
    report.AddValue("version", s.version);
    report.AddValue("uptime_seconds", absl::ToDoubleSeconds(s.uptime));
    report.AddValue("threads", s.threads);
    report.AddValue("calls_in_progress", s.calls_in_progress);
    report.AddValue("calls_accepted", s.calls_accepted);
    report.AddValue("calls_refused", s.calls_refused);
    report.AddValue("failed_by_code", ByCode(s.failed_by_code()));
    report.AddValue("streams", s.streams);
    report.AddValue("bytes_in_flight", s.bytes_in_flight);
    report.AddValue("tasks_waiting", s.tasks_waiting);
    report.AddValue("networks", s.networks);
    report.AddValue("network_bytes", s.network_bytes);
    report.AddValue("resident_bytes", s.resident_bytes);
    report.AddValue("buffer_bytes_in_use", s.buffer_bytes_in_use);
    report.AddValue("buffer_idle_bytes", s.buffer_idle_bytes);
    report.AddValue("buffers", s.buffers);
    report.AddValue("reused_buffers", s.reused_buffers);
    AddMethods(s.methods, s.bounds, report);
    return report;
  }
};

}  // namespace

CommandInfo Statistics() {
  return Describe<StatisticsCommand>(kServer, "statistics", "What a server does now and has done since it started",
                                     "spikectl statistics --server 127.0.0.1:50051 --json", Where::kServer,
                                     /*has_arrays=*/false);
}

}  // namespace spikeserve::cli

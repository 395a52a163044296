#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/commands/commands.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

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
    report.AddValue("networks", s.networks);
    report.AddValue("network_bytes", s.network_bytes);
    report.AddValue("buffer_bytes_in_use", s.buffer_bytes_in_use);
    report.AddValue("buffer_idle_bytes", s.buffer_idle_bytes);
    report.AddValue("buffers", s.buffers);
    report.AddValue("reused_buffers", s.reused_buffers);
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

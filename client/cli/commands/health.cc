#include "spikeserve/client/health.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"

namespace spikeserve::cli {
namespace {

class HealthCommand final : public Command {
 public:
  void AddOptions(CLI::App&) override {}

  absl::StatusOr<Report> Run(const Caller& caller) override {
    const absl::Status status =
        CheckHealth(caller.server(), std::min(caller.timeout(), absl::Seconds(5)), caller.options());
    if (!status.ok()) return ServiceError(status);
    Report report;
    report.AddText("serving", true, absl::StrCat(caller.server(), " serves"));
    return report;
  }
};

}  // namespace

CommandInfo Health() {
  return Describe<HealthCommand>(kServer, "health", "Ask whether a server serves (exit code 0, else 1)",
                                 "spikectl health --server 127.0.0.1:50051 --timeout 2", Where::kServer,
                                 /*has_arrays=*/false);
}

}  // namespace spikeserve::cli

// What `spikectl top` shows: the difference of two looks at a server.

#ifndef SPIKESERVE_CLI_TOP_VIEW_H_
#define SPIKESERVE_CLI_TOP_VIEW_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/report.h"
#include "spikeserve/client/statistics.h"

namespace spikeserve::cli {

// A method's calls in an interval.
struct TopMethod {
  std::string name;
  double calls_per_second = 0;
  double failed_per_second = 0;
  absl::Duration queue_p50, queue_p99, compute_p50, compute_p99;
};

// A server in an interval.
struct TopView {
  std::string version;
  absl::Duration uptime;
  int64_t threads = 0;
  double calls_per_second = 0;
  double failed_per_second = 0;
  double refused_per_second = 0;
  double request_bytes_per_second = 0;
  int64_t calls_in_progress = 0;
  int64_t streams = 0;
  int64_t tasks_waiting = 0;
  int64_t networks = 0;
  int64_t network_bytes = 0;
  int64_t resident_bytes = 0;
  int64_t buffer_bytes_in_use = 0;
  int64_t buffer_idle_bytes = 0;
  // Those that were called in it, the most frequent first.
  std::vector<TopMethod> methods;
};

// What came between two looks at the same server, and what there was at the second one. Where the server started anew
// meanwhile, it is what came since then.
TopView Compare(const ServerStatisticsResult& before, const ServerStatisticsResult& after);

// Lines for a terminal of so many columns (80 at least are needed for all to be seen) and rows; without an end of line
// each.
std::vector<std::string> TopLines(const TopView& view, const std::string& server, size_t columns, size_t rows);

Json TopJson(const TopView& view);

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_TOP_VIEW_H_

// Metrics of the server, for Prometheus. docs/observability.md has the table of them.

#ifndef SPIKESERVE_SERVER_TELEMETRY_SERVER_METRICS_H_
#define SPIKESERVE_SERVER_TELEMETRY_SERVER_METRICS_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "runtime/engine.h"
#include "runtime/limits.h"
#include "runtime/statistics.h"

namespace spikeserve::telemetry {

// What the statistics are as metrics. Labels are closed sets: the server's methods, the canonical codes, and the
// identities that the engine was given.
std::vector<prometheus::MetricFamily> ServerFamilies(const server::Statistics& statistics, const server::Limits& limits,
                                                     int64_t log_lines_dropped);

// Reads everything when it is asked, and keeps nothing itself. Thread-safe.
class ServerMetrics final : public prometheus::Collectable {
 public:
  // `engine`, and what `log_lines_dropped` refers to, must outlive this.
  ServerMetrics(server::Engine& engine, std::function<int64_t()> log_lines_dropped)
      : engine_(engine), log_lines_dropped_(std::move(log_lines_dropped)) {}

  // Those of the server and of its process.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  server::Engine& engine_;
  const std::function<int64_t()> log_lines_dropped_;
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_SERVER_METRICS_H_

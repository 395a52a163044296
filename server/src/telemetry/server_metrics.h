// Metrics of the server, for Prometheus. docs/observability.md has the table of them.

#ifndef SPIKESERVE_SERVER_TELEMETRY_SERVER_METRICS_H_
#define SPIKESERVE_SERVER_TELEMETRY_SERVER_METRICS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "runtime/engine.h"
#include "runtime/limits.h"
#include "runtime/statistics.h"

namespace spikeserve::telemetry {

// What there is to tell of a server's process beside its engine's statistics.
struct ProcessFacts {
  int64_t log_warnings = 0;
  int64_t log_errors = 0;
  int64_t log_lines_dropped = 0;
  // When the certificate that is in use expires; infinite future: without TLS.
  absl::Time certificate_expiry = absl::InfiniteFuture();
  // When all networks were last in --state-dir (infinite past: never), and the writes since then that failed; nullopt:
  // without --state-dir.
  struct Saved {
    absl::Time last_success;
    int64_t failures;
  };
  std::optional<Saved> saved = std::nullopt;
};

// What the statistics are as metrics. Labels are closed sets: the server's methods, the canonical codes, and the
// identities that have proved to be somebody.
std::vector<prometheus::MetricFamily> ServerFamilies(const server::Statistics& statistics, const server::Limits& limits,
                                                     const ProcessFacts& facts);

// Reads everything when it is asked, and keeps nothing itself. Thread-safe.
class ServerMetrics final : public prometheus::Collectable {
 public:
  // `engine`, and what `facts` refers to, must outlive this.
  ServerMetrics(server::Engine& engine, std::function<ProcessFacts()> facts)
      : engine_(engine), facts_(std::move(facts)) {}

  // Those of the server and of its process.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  server::Engine& engine_;
  const std::function<ProcessFacts()> facts_;
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_SERVER_METRICS_H_

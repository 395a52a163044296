// Serves the metrics to Prometheus over HTTP.

#ifndef SPIKESERVE_SERVER_TELEMETRY_METRICS_LISTENER_H_
#define SPIKESERVE_SERVER_TELEMETRY_METRICS_LISTENER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

namespace prometheus {
class Exposer;
}  // namespace prometheus

namespace spikeserve::telemetry {

// Answers GET /metrics, in threads of its own, until it is destroyed. Plain HTTP, for a network that is trusted.
class MetricsListener {
 public:
  // INVALID_ARGUMENT for what is no "HOST:PORT" (IPv4, [IPv6] or a name, and a port up to 65535).
  static absl::Status Check(const std::string& address);

  // Port 0 is a free one. Errors: those of Check; UNAVAILABLE for an address that cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsListener>> Start(const std::string& address);
  ~MetricsListener();

  // What is served from here on; before there is no page. Called once.
  void Serve(std::shared_ptr<prometheus::Collectable> metrics);

  // Where it listens, a free port filled in.
  const std::string& address() const { return address_; }

 private:
  MetricsListener(std::string address, std::unique_ptr<prometheus::Exposer> exposer);

  const std::string address_;
  std::shared_ptr<prometheus::Collectable> metrics_;
  const std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_METRICS_LISTENER_H_

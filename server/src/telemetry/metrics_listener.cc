#include "telemetry/metrics_listener.h"

#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::telemetry {
namespace {

constexpr char kFlag[] = "--metrics-listen";

}  // namespace

absl::Status MetricsListener::Check(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port;
  // The HTTP server takes more than addresses: lists of them, and letters after a port.
  if (colon == std::string::npos || colon == 0 || address.find_first_of(", ") != std::string::npos ||
      address.find_first_not_of("0123456789", colon + 1) != std::string::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return InvalidField(kFlag, absl::StrCat("\"", address, "\""), "HOST:PORT with a port up to 65535");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MetricsListener>> MetricsListener::Start(const std::string& address) {
  SPIKESERVE_RETURN_IF_ERROR(Check(address));
  // Exposer tells errors by exceptions.
  std::unique_ptr<prometheus::Exposer> exposer;
  int port = 0;
  try {
    // A client that is slow to send keeps a thread no longer than Prometheus waits for a page, and more than a few of
    // them have to come to keep it waiting.
    exposer = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", address, "num_threads", "8", "request_timeout_ms", "10000"});
    port = exposer->GetListeningPorts().at(0);
  } catch (const std::exception&) {
    return FieldError(absl::StatusCode::kUnavailable, kFlag, absl::StrCat("cannot listen on ", address),
                      "HOST:PORT that is free and allowed");
  }
  std::string bound = absl::StrCat(address.substr(0, address.rfind(':') + 1), port);
  return std::unique_ptr<MetricsListener>(new MetricsListener(std::move(bound), std::move(exposer)));
}

MetricsListener::MetricsListener(std::string address, std::unique_ptr<prometheus::Exposer> exposer)
    : address_(std::move(address)), exposer_(std::move(exposer)) {}

void MetricsListener::Serve(std::shared_ptr<prometheus::Collectable> metrics) {
  metrics_ = std::move(metrics);
  exposer_->RegisterCollectable(metrics_);
}

MetricsListener::~MetricsListener() = default;

}  // namespace spikeserve::telemetry

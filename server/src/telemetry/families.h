// Makes the families of a metrics page.

#ifndef SPIKESERVE_SERVER_TELEMETRY_FAMILIES_H_
#define SPIKESERVE_SERVER_TELEMETRY_FAMILIES_H_

#include <string>
#include <string_view>
#include <utility>

#include "prometheus/metric_family.h"

namespace spikeserve::telemetry {

inline prometheus::MetricFamily Family(std::string name, std::string help, prometheus::MetricType type) {
  return {std::move(name), std::move(help), type, {}};
}

inline prometheus::ClientMetric::Label Label(std::string_view name, std::string_view value) {
  return {std::string(name), std::string(value)};
}

// A family of one value.
inline prometheus::MetricFamily Counter(std::string name, std::string help, double value) {
  prometheus::MetricFamily family = Family(std::move(name), std::move(help), prometheus::MetricType::Counter);
  family.metric.emplace_back().counter.value = value;
  return family;
}

inline prometheus::MetricFamily Gauge(std::string name, std::string help, double value) {
  prometheus::MetricFamily family = Family(std::move(name), std::move(help), prometheus::MetricType::Gauge);
  family.metric.emplace_back().gauge.value = value;
  return family;
}

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_FAMILIES_H_

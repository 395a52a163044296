// Metrics of the process, by the names that Prometheus' client libraries give them.

#ifndef SPIKESERVE_SERVER_TELEMETRY_PROCESS_METRICS_H_
#define SPIKESERVE_SERVER_TELEMETRY_PROCESS_METRICS_H_

#include <vector>

#include "prometheus/metric_family.h"

namespace spikeserve::telemetry {

// Read now from the system; those that it does not tell are left out. Thread-safe.
std::vector<prometheus::MetricFamily> ProcessFamilies();

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_PROCESS_METRICS_H_

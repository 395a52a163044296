#include "telemetry/server_metrics.h"

#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "telemetry/families.h"
#include "telemetry/process_metrics.h"
#include "telemetry/servers_fault.h"
#include "version.h"

namespace spikeserve::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using server::MethodCounts;
using server::TimeCounts;

std::string CodeName(int code) { return absl::StatusCodeToString(static_cast<absl::StatusCode>(code)); }

// Those that are there before there is a call that ends so: a rate misses what a series begins with, and nobody should
// miss the first of these.
bool IsAlwaysShown(int code) {
  const auto status = static_cast<absl::StatusCode>(code);
  return status == absl::StatusCode::kOk || IsServersFault(status);
}

// Adds a series for each code that there is to tell of.
void AddByCode(std::string_view label, std::string_view value, const server::CallsByCode& calls, MetricFamily& family) {
  for (int code = 0; code < server::kStatusCodes; ++code) {
    if (calls[code] == 0 && !IsAlwaysShown(code)) continue;
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = {Label("code", CodeName(code)), Label(label, value)};
    metric.counter.value = static_cast<double>(calls[code]);
  }
}

// Of ten bounds to a decade the page has three, 1, 2.5 and 5, from 10 us on: there are many methods.
bool IsOnPage(size_t bound) {
  const size_t in_decade = bound % 10;
  return server::kTimeBounds[bound] >= 10'000 && (in_decade == 0 || in_decade == 4 || in_decade == 7);
}

ClientMetric::Histogram ToHistogram(const TimeCounts& counts) {
  ClientMetric::Histogram histogram;
  uint64_t count = 0;
  for (size_t i = 0; i < server::kTimeBounds.size(); ++i) {
    count += counts.buckets[i];
    if (IsOnPage(i)) histogram.bucket.push_back({count, static_cast<double>(server::kTimeBounds[i]) / 1e9});
  }
  count += counts.buckets.back();
  histogram.bucket.push_back({count, std::numeric_limits<double>::infinity()});
  histogram.sample_count = count;
  histogram.sample_sum = absl::ToDoubleSeconds(counts.total);
  return histogram;
}

// A histogram for each method that was called.
MetricFamily Times(std::string name, std::string help, const std::vector<MethodCounts>& methods,
                   TimeCounts MethodCounts::*times) {
  MetricFamily family = Family(std::move(name), std::move(help), MetricType::Histogram);
  for (const MethodCounts& method : methods) {
    if (!method.called()) continue;
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = {Label("method", method.method)};
    metric.histogram = ToHistogram(method.*times);
  }
  return family;
}

void AddCalls(const server::Statistics& statistics, std::vector<MetricFamily>& families) {
  MetricFamily calls = Family("spikeserve_calls_total", "Calls that have ended, streams and refused ones included.",
                              MetricType::Counter);
  MetricFamily bytes =
      Family("spikeserve_request_bytes_total", "Bytes of requests as they came over the wire, without shared memory.",
             MetricType::Counter);
  for (const MethodCounts& method : statistics.methods) {
    AddByCode("method", method.method, method.calls, calls);
    ClientMetric& metric = bytes.metric.emplace_back();
    metric.label = {Label("method", method.method)};
    metric.counter.value = static_cast<double>(method.request_bytes);
  }
  MetricFamily identities =
      Family("spikeserve_identity_calls_total",
             "Calls that have ended, by who made them: those of spikeserve_calls_total.", MetricType::Counter);
  for (const server::IdentityCounts& identity : statistics.identities) {
    AddByCode("identity", identity.identity, identity.calls, identities);
  }
  families.push_back(std::move(calls));
  families.push_back(std::move(bytes));
  families.push_back(std::move(identities));
  families.push_back(Times("spikeserve_call_queue_seconds",
                           "From a call's arrival until a thread took it up and its network was free.",
                           statistics.methods, &MethodCounts::queue));
  families.push_back(
      Times("spikeserve_call_decode_seconds", "Reading the request.", statistics.methods, &MethodCounts::decode));
  families.push_back(Times("spikeserve_call_compute_seconds", "Computing; of a stream, all of its messages.",
                           statistics.methods, &MethodCounts::compute));
  families.push_back(
      Times("spikeserve_call_encode_seconds", "Writing the response.", statistics.methods, &MethodCounts::encode));
}

}  // namespace

std::vector<MetricFamily> ServerFamilies(const server::Statistics& statistics, const server::Limits& limits,
                                         const ProcessFacts& facts) {
  std::vector<MetricFamily> families;
  const auto gauge = [&](const char* name, const char* help, int64_t value) {
    families.push_back(Gauge(name, help, static_cast<double>(value)));
  };
  const auto counter = [&](const char* name, const char* help, int64_t value) {
    families.push_back(Counter(name, help, static_cast<double>(value)));
  };
  MetricFamily build = Gauge("spikeserve_build_info", "1, with the program's version.", 1);
  build.metric[0].label = {Label("version", SPIKESERVE_VERSION)};
  families.push_back(std::move(build));

  AddCalls(statistics, families);
  counter("spikeserve_calls_refused_total", "Calls that were refused because the server had too much to do.",
          statistics.calls_refused);
  gauge("spikeserve_calls_in_progress", "Calls that wait or compute now, streams included.",
        statistics.calls_in_progress);
  gauge("spikeserve_max_calls", "The limit of spikeserve_calls_in_progress: --max-calls.", limits.max_calls);
  gauge("spikeserve_streams_open", "Streams that are open now.", statistics.streams);
  gauge("spikeserve_bytes_in_flight", "Bytes of requests, of their tensors, and of results that nobody has taken yet.",
        statistics.bytes_in_flight);
  gauge("spikeserve_max_bytes_in_flight", "The limit of spikeserve_bytes_in_flight: --max-bytes-in-flight.",
        limits.max_bytes_in_flight);

  gauge("spikeserve_threads", "Threads that compute.", statistics.threads);
  gauge("spikeserve_tasks_waiting", "Tasks that wait for one of the threads.", statistics.tasks_waiting);
  gauge("spikeserve_buffers_in_use_bytes", "Bytes of tensors' buffers in use.", statistics.buffers.bytes_in_use);
  gauge("spikeserve_buffers_idle_bytes", "Bytes of tensors' buffers kept for the next call.",
        statistics.buffers.idle_bytes);
  gauge("spikeserve_networks", "Networks held now.", statistics.networks.networks);
  gauge("spikeserve_max_networks", "The limit of spikeserve_networks: --max-networks.", limits.max_networks);
  gauge("spikeserve_network_bytes", "Bytes that the networks take.", statistics.networks.bytes);
  gauge("spikeserve_max_network_bytes", "The limit of spikeserve_network_bytes: --max-network-bytes.",
        limits.max_network_bytes);
  counter("spikeserve_networks_expired_total",
          "Networks that were removed because they had no calls for --network-idle-timeout.",
          statistics.networks_expired);
  MetricFamily lines = Family("spikeserve_log_lines_total", "Lines of the log that tell of trouble, by their level.",
                              MetricType::Counter);
  for (const auto& [level, count] : {std::pair("warning", facts.log_warnings), std::pair("error", facts.log_errors)}) {
    ClientMetric& metric = lines.metric.emplace_back();
    metric.label = {Label("level", level)};
    metric.counter.value = static_cast<double>(count);
  }
  families.push_back(std::move(lines));
  counter("spikeserve_log_lines_dropped_total", "Lines of the log that were dropped because nobody read them in time.",
          facts.log_lines_dropped);
  gauge("spikeserve_draining", "1 from the signal to end on.", statistics.draining ? 1 : 0);
  counter("spikeserve_answers_given_up_total",
          "Answers that clients did not take in time, and whose memory others needed.", statistics.answers_given_up);
  if (facts.certificate_expiry != absl::InfiniteFuture()) {
    gauge("spikeserve_tls_certificate_expiry_timestamp_seconds", "When the certificate that is in use expires.",
          absl::ToUnixSeconds(facts.certificate_expiry));
  }
  if (facts.saved) {
    const bool ever = facts.saved->last_success != absl::InfinitePast();
    gauge("spikeserve_state_saved_timestamp_seconds",
          "A time as of which all networks are in --state-dir; 0: there is none yet.",
          ever ? absl::ToUnixSeconds(facts.saved->last_success) : 0);
    gauge("spikeserve_state_failed_saves", "How often not all networks could be written since all could be.",
          facts.saved->failures);
  }
  return families;
}

std::vector<MetricFamily> ServerMetrics::Collect() const {
  std::vector<MetricFamily> families = ServerFamilies(engine_.statistics(), engine_.limits(), facts_());
  for (MetricFamily& family : ProcessFamilies()) families.push_back(std::move(family));
  return families;
}

}  // namespace spikeserve::telemetry

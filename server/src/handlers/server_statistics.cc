#include "absl/time/time.h"
#include "handlers/handlers.h"
#include "runtime/statistics.h"
#include "version.h"

namespace spikeserve::server {
namespace {

void Encode(const TimeCounts& counts, v1::TimeStatistics& out) {
  out.set_calls(counts.count());
  out.set_total_seconds(absl::ToDoubleSeconds(counts.total));
  size_t used = counts.buckets.size();
  while (used > 0 && counts.buckets[used - 1] == 0) --used;
  out.mutable_buckets()->Add(counts.buckets.begin(), counts.buckets.begin() + used);
}

void Encode(const MethodCounts& method, v1::MethodStatistics& out) {
  out.set_method(std::string(method.method));
  for (int code = 0; code < kStatusCodes; ++code) {
    if (method.calls[code] == 0) continue;
    v1::CodeStatistics& calls = *out.add_codes();
    calls.set_code(code);
    calls.set_calls(method.calls[code]);
  }
  out.set_request_bytes(method.request_bytes);
  Encode(method.queue, *out.mutable_queue());
  Encode(method.decode, *out.mutable_decode());
  Encode(method.compute, *out.mutable_compute());
  Encode(method.encode, *out.mutable_encode());
}

}  // namespace

// Next to none: whoever asks what keeps the server is not to wait for it.
int64_t ServerStatisticsWork(Incoming<v1::ServerStatisticsRequest>) { return 0; }

absl::StatusOr<Outgoing<v1::ServerStatisticsResponse>> ServerStatistics(Incoming<v1::ServerStatisticsRequest>,
                                                                        Context& context) {
  const Statistics statistics = context.statistics();
  Outgoing<v1::ServerStatisticsResponse> response(context.buffers);
  response->set_version(SPIKESERVE_VERSION);
  response->set_uptime_seconds(absl::ToDoubleSeconds(statistics.uptime));
  response->set_threads(statistics.threads);
  response->set_calls_in_progress(statistics.calls_in_progress);
  response->set_calls_accepted(statistics.calls_accepted);
  response->set_calls_refused(statistics.calls_refused);
  response->set_streams(statistics.streams);
  response->set_bytes_in_flight(statistics.bytes_in_flight);
  response->set_tasks_waiting(statistics.tasks_waiting);
  response->set_resident_bytes(ResidentBytes());
  response->set_networks(statistics.networks.networks);
  response->set_network_bytes(statistics.networks.bytes);
  v1::BufferStatistics* buffers = response->mutable_buffers();
  buffers->set_bytes_in_use(statistics.buffers.bytes_in_use);
  buffers->set_idle_bytes(statistics.buffers.idle_bytes);
  buffers->set_buffers(statistics.buffers.buffers);
  buffers->set_reused_buffers(statistics.buffers.reused_buffers);
  for (const int64_t bound : kTimeBounds) response->add_bucket_bounds_seconds(static_cast<double>(bound) / 1e9);
  for (const MethodCounts& method : statistics.methods) {
    if (method.called()) Encode(method, *response->add_methods());
  }
  return response;
}

}  // namespace spikeserve::server

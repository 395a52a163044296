#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "handlers/handlers.h"
#include "version.h"

namespace spikeserve::server {

absl::StatusOr<Outgoing<v1::ServerStatisticsResponse>> ServerStatistics(Incoming<v1::ServerStatisticsRequest>,
                                                                        Context& context) {
  Outgoing<v1::ServerStatisticsResponse> response(context.buffers);
  response->set_version(SPIKESERVE_VERSION);
  response->set_uptime_seconds(absl::ToDoubleSeconds(absl::Now() - context.counters.start));
  response->set_threads(context.counters.threads);
  response->set_calls_in_progress(context.counters.calls_in_progress);
  response->set_calls_accepted(context.counters.calls_accepted);
  response->set_calls_refused(context.counters.calls_refused);
  const NetworkStore::Usage networks = context.networks.Total();
  response->set_networks(networks.networks);
  response->set_network_bytes(networks.bytes);
  const BufferPool::Statistics buffers = context.buffers.statistics();
  v1::BufferStatistics* out = response->mutable_buffers();
  out->set_bytes_in_use(buffers.bytes_in_use);
  out->set_idle_bytes(buffers.idle_bytes);
  out->set_buffers(buffers.buffers);
  out->set_reused_buffers(buffers.reused_buffers);
  return response;
}

int64_t ServerStatisticsWork(Incoming<v1::ServerStatisticsRequest>) { return 1; }

}  // namespace spikeserve::server

#include <algorithm>

#include "rpc_traits.h"
#include "spikeserve/v1/server.pb.h"

namespace spikeserve {
namespace {

TimeStatistics Decode(const v1::TimeStatistics& message, size_t bounds) {
  TimeStatistics times{
      message.calls(), absl::Seconds(message.total_seconds()), {message.buckets().begin(), message.buckets().end()}};
  times.buckets.resize(std::max(times.buckets.size(), bounds + 1));
  return times;
}

MethodStatistics Decode(const v1::MethodStatistics& message, size_t bounds) {
  MethodStatistics method;
  method.method = message.method();
  for (const v1::CodeStatistics& code : message.codes()) {
    method.calls_by_code[static_cast<absl::StatusCode>(code.code())] = code.calls();
  }
  method.request_bytes = message.request_bytes();
  method.queue = Decode(message.queue(), bounds);
  method.decode = Decode(message.decode(), bounds);
  method.compute = Decode(message.compute(), bounds);
  method.encode = Decode(message.encode(), bounds);
  return method;
}

}  // namespace

template <>
struct RpcTraits<ServerStatisticsArgs> {
  using Request = v1::ServerStatisticsRequest;
  using Response = v1::ServerStatisticsResponse;

  static void Encode(const ServerStatisticsArgs&, RequestBuilder<Request>&) {}

  static absl::StatusOr<ServerStatisticsResult> Decode(ResponseReader<Response>& response) {
    ServerStatisticsResult result;
    result.version = response->version();
    result.uptime = absl::Seconds(response->uptime_seconds());
    result.threads = response->threads();
    result.calls_in_progress = response->calls_in_progress();
    result.calls_accepted = response->calls_accepted();
    result.calls_refused = response->calls_refused();
    result.streams = response->streams();
    result.bytes_in_flight = response->bytes_in_flight();
    result.tasks_waiting = response->tasks_waiting();
    result.networks = response->networks();
    result.network_bytes = response->network_bytes();
    result.resident_bytes = response->resident_bytes();
    result.buffer_bytes_in_use = response->buffers().bytes_in_use();
    result.buffer_idle_bytes = response->buffers().idle_bytes();
    result.buffers = response->buffers().buffers();
    result.reused_buffers = response->buffers().reused_buffers();
    for (const double bound : response->bucket_bounds_seconds()) result.bounds.push_back(absl::Seconds(bound));
    for (const v1::MethodStatistics& method : response->methods()) {
      result.methods.push_back(spikeserve::Decode(method, result.bounds.size()));
    }
    return result;
  }
};

SPIKESERVE_INSTANTIATE_CALL(ServerStatisticsArgs);

}  // namespace spikeserve

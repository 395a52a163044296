#include "rpc_traits.h"
#include "spikeserve/v1/server.pb.h"

namespace spikeserve {

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
    result.networks = response->networks();
    result.network_bytes = response->network_bytes();
    result.buffer_bytes_in_use = response->buffers().bytes_in_use();
    result.buffer_idle_bytes = response->buffers().idle_bytes();
    result.buffers = response->buffers().buffers();
    result.reused_buffers = response->buffers().reused_buffers();
    return result;
  }
};

SPIKESERVE_INSTANTIATE_CALL(ServerStatisticsArgs);

}  // namespace spikeserve

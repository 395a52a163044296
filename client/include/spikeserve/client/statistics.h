// What a server tells of itself.

#ifndef SPIKESERVE_CLIENT_STATISTICS_H_
#define SPIKESERVE_CLIENT_STATISTICS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace spikeserve {

// What a server does now and has done since it started; proto/spikeserve/v1/server.proto tells each field.
struct ServerStatisticsResult {
  std::string version;
  absl::Duration uptime;
  int64_t threads;
  int64_t calls_in_progress;
  int64_t calls_accepted;
  int64_t calls_refused;
  int64_t networks;
  int64_t network_bytes;
  int64_t buffer_bytes_in_use;
  int64_t buffer_idle_bytes;
  int64_t buffers;
  int64_t reused_buffers;
};

struct ServerStatisticsArgs {
  using Result = ServerStatisticsResult;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_STATISTICS_H_

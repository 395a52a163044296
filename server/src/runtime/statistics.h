// What a server does now and has done since it started, for ServerStatistics and the metrics.

#ifndef SPIKESERVE_SERVER_RUNTIME_STATISTICS_H_
#define SPIKESERVE_SERVER_RUNTIME_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "memory/buffer_pool.h"
#include "runtime/call_statistics.h"
#include "runtime/network_store.h"

namespace spikeserve::server {

// Read at one time, but not with one lock: of calls that end meanwhile some numbers may have been read and others not.
// Refers to names that live as long as the engine does.
struct Statistics {
  absl::Duration uptime = {};
  int threads = 0;
  // Streams are calls, too.
  int64_t calls_in_progress = 0;
  int64_t calls_accepted = 0;
  int64_t calls_refused = 0;
  // Whether the server is about to end.
  bool draining = false;
  // Answers that their clients did not take, and whose memory others needed.
  int64_t answers_given_up = 0;
  int64_t streams = 0;
  int64_t bytes_in_flight = 0;
  int64_t tasks_waiting = 0;
  NetworkStore::Usage networks = {};
  int64_t networks_expired = 0;
  BufferPool::Statistics buffers = {};
  std::vector<MethodCounts> methods = {};
  std::vector<IdentityCounts> identities = {};
};

// The bytes of memory that this process occupies; 0 where the system does not tell.
int64_t ResidentBytes();

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STATISTICS_H_

// What an engine counts.

#ifndef SPIKESERVE_SERVER_RUNTIME_COUNTERS_H_
#define SPIKESERVE_SERVER_RUNTIME_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "runtime/stopwatch.h"

namespace spikeserve::server {

// Thread-safe.
struct Counters {
  const Stopwatch since_start = {};
  int threads = 0;
  std::atomic<int64_t> calls_in_progress{0};
  // Those of them that are streams.
  std::atomic<int64_t> streams{0};
  std::atomic<int64_t> calls_accepted{0};
  std::atomic<int64_t> calls_refused{0};
  std::atomic<int64_t> answers_given_up{0};
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_COUNTERS_H_

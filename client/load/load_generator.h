// Makes calls, many at a time, and measures how long they take.

#ifndef SPIKESERVE_LOAD_LOAD_GENERATOR_H_
#define SPIKESERVE_LOAD_LOAD_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "load/latency_histogram.h"

namespace spikeserve::load {

struct LoadOptions {
  // The calls that are under way at the same time, at most; >= 1.
  int concurrency = 1;
  // Calls a second, > 0. With it (an open loop) calls begin at a fixed pace, whether or not earlier ones have ended,
  // and a call's latency counts from when it was due, also where `concurrency` calls under way held it up: so a server
  // that stalls is seen to delay all the calls that were due meanwhile. Without it (a closed loop) `concurrency`
  // callers each begin a call when their last one has ended.
  std::optional<double> rate = std::nullopt;
  // No call begins later than this, or after this many.
  absl::Duration duration = absl::Seconds(10);
  int64_t max_calls = std::numeric_limits<int64_t>::max();
};

struct LoadResult {
  struct Errors {
    int64_t count = 0;
    // The first error's.
    std::string message;
  };

  // The calls that have ended, the failed ones among them.
  int64_t calls() const;
  // Of the successful calls.
  LatencyHistogram latency;
  std::map<absl::StatusCode, Errors> errors;
  // In an open loop, the calls that were due but never begun because `concurrency` others were under way up to the end.
  int64_t unsent = 0;
  // From the first call's beginning to the last one's end (so far).
  absl::Duration elapsed;
};

// Begins a call, which calls `done` once when it has ended, from any thread, possibly at once.
using StartCall = std::function<void(std::function<void(absl::Status)> done)>;

// Makes calls as `options` say, and returns when all have ended. In a closed loop a call is begun by the thread that
// ended the caller's last one. `show` is called about five times a second with the result so far, by the calling
// thread.
LoadResult RunLoad(const LoadOptions& options, StartCall start, absl::FunctionRef<void(const LoadResult& so_far)> show);

}  // namespace spikeserve::load

#endif  // SPIKESERVE_LOAD_LOAD_GENERATOR_H_

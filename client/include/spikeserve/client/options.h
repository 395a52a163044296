// How a client connects and how its calls behave.

#ifndef SPIKESERVE_CLIENT_OPTIONS_H_
#define SPIKESERVE_CLIENT_OPTIONS_H_

#include "absl/time/time.h"

namespace spikeserve {

// When a call that the server could not take (UNAVAILABLE) is made again. Only calls that are safe to repeat are: those
// that change nothing or come to the same when made twice, and changes that carry their `step`.
struct RetryPolicy {
  // Including the first. 1: no retries.
  int max_attempts = 4;
  // The wait before the n-th retry is a random part (half to whole) of min(max_backoff, initial_backoff * 2^(n-1)).
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(5);
};

// For a single call.
struct CallOptions {
  // DEADLINE_EXCEEDED after this time, retries included.
  absl::Duration timeout = absl::InfiniteDuration();
};

struct ConnectOptions {
  RetryPolicy retry;
};

struct InProcessOptions {
  // The threads that compute; 0: one for each processor.
  int threads = 0;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_OPTIONS_H_

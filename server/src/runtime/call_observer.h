// What is told of every call when it has ended, for metrics and logs.

#ifndef SPIKESERVE_SERVER_RUNTIME_CALL_OBSERVER_H_
#define SPIKESERVE_SERVER_RUNTIME_CALL_OBSERVER_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/caller.h"

namespace spikeserve::server {

// Where a call's time went. What a call did not come to is zero; a stream's are the sums over its messages.
struct CallTimes {
  // From its arrival until a thread took it up, and where it is on a network, until that network was free.
  absl::Duration queue = {};
  // Reading the request.
  absl::Duration decode = {};
  absl::Duration compute = {};
  // Writing the response.
  absl::Duration encode = {};
};

// Valid for the time of the observer's call.
struct CallReport {
  // Such as "/spikeserve.v1.SpikeFunctionService/SpikeCluster"; empty where the server has no such method.
  std::string_view path;
  const Caller& caller;
  const absl::Status& status;
  // Whether it was refused before anything was done for it, because the server had too much to do.
  bool refused = false;
  // Whether it is a stream that had nothing to do when the server was about to end.
  bool in_order = false;
  CallTimes times = {};
  // From its arrival to its end.
  absl::Duration total = {};
  // As they came over the wire: without what was handed over in shared memory, and 0 in process.
  int64_t request_bytes = 0;
};

class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // A call has ended: its response is about to go. Called from any thread, several at the same time; holds the call
  // up until it returns.
  virtual void OnEnd(const CallReport& report) = 0;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_CALL_OBSERVER_H_

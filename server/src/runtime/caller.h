// Who makes a call.

#ifndef SPIKESERVE_SERVER_RUNTIME_CALLER_H_
#define SPIKESERVE_SERVER_RUNTIME_CALLER_H_

#include <string>

namespace spikeserve::server {

// As the call's transport found out.
struct Caller {
  // The name that the caller proved; empty: the server asks nobody for one. Networks belong to it.
  std::string identity = {};
  // The call's W3C trace context (https://www.w3.org/TR/trace-context), as it was sent; empty: none.
  std::string traceparent = {};
  // Where it calls from, such as "ipv4:192.0.2.1:51234", which proves nothing; empty: from the same process.
  std::string peer = {};
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_CALLER_H_

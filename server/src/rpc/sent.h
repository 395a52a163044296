// Whether what this process has written to its sockets has arrived.

#ifndef SPIKESERVE_SERVER_RPC_SENT_H_
#define SPIKESERVE_SERVER_RPC_SENT_H_

#include "absl/time/time.h"

namespace spikeserve::rpc {

// Waits until the peers' systems have all that was written to the process's connections, for as long as they take any,
// a second without is enough, and for `most` in all. A socket that is closed while the peer's last words are unread is
// reset, and takes with it what was not delivered: for a large response that is megabytes.
void WaitUntilSent(absl::Duration most);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_SENT_H_

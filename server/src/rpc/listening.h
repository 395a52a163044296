// The addresses that a server listens on: what may be one, and why it cannot be listened on.

#ifndef SPIKESERVE_SERVER_RPC_LISTENING_H_
#define SPIKESERVE_SERVER_RPC_LISTENING_H_

#include <string>

#include "absl/status/status.h"

namespace spikeserve::rpc {

// INVALID_ARGUMENT for what is neither "HOST:PORT" with a port up to 65535, in digits, nor "unix:PATH": other addresses
// that gRPC knows ("unix-abstract:NAME") are not listened on.
absl::Status CheckListenAddress(const std::string& address);

// How all spellings of one path ("unix:/a", "unix:///a", "unix:/b/../a") and of one port ("HOST:0", "HOST:00") are
// spelt, for an address that CheckListenAddress takes.
std::string OneSpelling(const std::string& address);

// UNAVAILABLE for a "unix:PATH" where a server listens, which gRPC would take it away from, or where no socket can be
// made. A socket that a server left behind is in nobody's way.
absl::Status CheckPathFree(const std::string& address);

// UNAVAILABLE for a "HOST:PORT" whose port is taken on one of the host's addresses or not allowed, or whose host is
// none: where a name has several addresses, gRPC is content with one, and who else listens on the others would get half
// of the calls. Whoever takes the port after this is not found.
absl::Status CheckPortFree(const std::string& address);

// UNAVAILABLE that tells why `address`, which gRPC could not listen on, cannot be, as the system says when asked again.
absl::Status CannotListen(const std::string& address);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_LISTENING_H_

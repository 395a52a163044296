// Which addresses only programs on the same machine reach.

#ifndef SPIKESERVE_SERVER_RPC_ADDRESS_H_
#define SPIKESERVE_SERVER_RPC_ADDRESS_H_

#include <string>
#include <string_view>

namespace spikeserve::rpc {

// "HOST" of "HOST:PORT", "[HOST]:PORT" or "HOST".
std::string HostOf(std::string_view address);

// A Unix socket.
bool IsUnixSocket(std::string_view address);

// A Unix socket, or the loopback interface (127.0.0.0/8, [::1], localhost), of an address to listen on or a gRPC name
// to connect to. Whatever is not known to be local is not.
bool IsLocal(std::string_view address);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_ADDRESS_H_

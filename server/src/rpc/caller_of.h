// Who makes a call, as gRPC tells it.

#ifndef SPIKESERVE_SERVER_RPC_CALLER_OF_H_
#define SPIKESERVE_SERVER_RPC_CALLER_OF_H_

#include "absl/status/statusor.h"
#include "grpcpp/grpcpp.h"
#include "identity/tokens.h"
#include "runtime/caller.h"

namespace spikeserve::rpc {

// What callers have to prove.
struct CallerRules {
  // A token of these, which tells their identity; null: none. Must outlive the calls.
  const identity::TokenFile* tokens = nullptr;
  // TLS shows who is at the other end of a connection (but for a Unix socket): the identity of whoever needs no token.
  bool client_certificates = false;
};

// Where a call comes from, such as "ipv6:[::1]:51234" or "unix:".
std::string PeerOf(const grpc::ServerContextBase& context);

// UNAUTHENTICATED for a call that does not prove what it has to. The identity is the token's name; or "cert:NAME", with
// the subject's common name of the client's certificate, or else its first alternative name, where whatever is not
// printable ASCII is escaped as in C.
absl::StatusOr<server::Caller> CallerOf(const grpc::CallbackServerContext& context, const CallerRules& rules);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_CALLER_OF_H_

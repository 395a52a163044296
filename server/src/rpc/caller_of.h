// Who makes a call, as gRPC tells it.

#ifndef SPIKESERVE_SERVER_RPC_CALLER_OF_H_
#define SPIKESERVE_SERVER_RPC_CALLER_OF_H_

#include <string>

#include "grpcpp/grpcpp.h"
#include "runtime/caller.h"

namespace spikeserve::rpc {

inline server::Caller CallerOf(const grpc::CallbackServerContext& context) {
  server::Caller caller;
  const auto& metadata = context.client_metadata();
  if (const auto it = metadata.find("traceparent"); it != metadata.end()) {
    caller.traceparent.assign(it->second.data(), it->second.size());
  }
  return caller;
}

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_CALLER_OF_H_

// absl::Status <-> grpc::Status, with the field at fault and the time to try again in the rich-error trailer.

#ifndef SPIKESERVE_SERVER_RPC_RICH_STATUS_H_
#define SPIKESERVE_SERVER_RPC_RICH_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"

namespace spikeserve::rpc {

// Keeps code, message, field, and when to try again.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// The same as the end of the call of `context`: where the call may be made again, the trailer "grpc-retry-pushback-ms"
// tells gRPC's own retries when (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
grpc::Status ToGrpc(const absl::Status& status, grpc::CallbackServerContext& context);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_RICH_STATUS_H_

// absl::Status <-> grpc::Status, with the field at fault in the rich-error trailer.

#ifndef SPIKESERVE_SERVER_RPC_RICH_STATUS_H_
#define SPIKESERVE_SERVER_RPC_RICH_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace spikeserve::rpc {

// Keeps code, message and field.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_RICH_STATUS_H_

// A streaming call: gRPC's reactor on one side, the engine's Stream on the other.

#ifndef SPIKESERVE_SERVER_RPC_STREAM_CALL_H_
#define SPIKESERVE_SERVER_RPC_STREAM_CALL_H_

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "rpc/services.h"

namespace spikeserve::rpc {

using StreamReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// The reactor of a call of `path`. Deletes itself when gRPC is done with it.
StreamReactor* NewStreamCall(const ServiceHost& host, const char* path, grpc::CallbackServerContext* context);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_STREAM_CALL_H_

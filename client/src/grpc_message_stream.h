// A message stream over gRPC.

#ifndef SPIKESERVE_CLIENT_GRPC_MESSAGE_STREAM_H_
#define SPIKESERVE_CLIENT_GRPC_MESSAGE_STREAM_H_

#include <memory>

#include "channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "memory/buffer_pool.h"
#include "message_stream.h"

namespace spikeserve {

// `stub` and `buffers` must live until the stream has ended.
std::shared_ptr<MessageStream> MakeGrpcMessageStream(grpc::GenericStub& stub, const Authorization& authorization,
                                                     BufferPool& buffers, const StreamRpc& rpc);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_GRPC_MESSAGE_STREAM_H_

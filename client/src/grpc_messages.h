// What a client makes of gRPC's messages and statuses.

#ifndef SPIKESERVE_CLIENT_GRPC_MESSAGES_H_
#define SPIKESERVE_CLIENT_GRPC_MESSAGES_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "codec/envelope.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"
#include "memory/buffer_pool.h"

namespace spikeserve {

// The bytes of a response as an envelope; INTERNAL where they are none, RESOURCE_EXHAUSTED where there is
// no memory for it.
absl::StatusOr<codec::Envelope> ReadResponse(const grpc::ByteBuffer& bytes, const google::protobuf::Message& prototype,
                                             BufferPool& buffers);

// How a call ended, with a hint where gRPC itself refused a message.
absl::Status StatusOf(const grpc::Status& status);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_GRPC_MESSAGES_H_

// Envelopes <-> the bytes that gRPC carries.

#ifndef SPIKESERVE_SERVER_RPC_BYTE_BUFFER_H_
#define SPIKESERVE_SERVER_RPC_BYTE_BUFFER_H_

#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "codec/envelope.h"
#include "grpcpp/support/byte_buffer.h"
#include "memory/buffer_pool.h"

namespace spikeserve::rpc {

// codec::ParseEnvelope of what arrived.
absl::StatusOr<codec::Envelope> FromByteBuffer(const grpc::ByteBuffer& bytes,
                                               const google::protobuf::Message& prototype, BufferPool& buffers,
                                               int64_t max_bytes = std::numeric_limits<int64_t>::max());

// The envelope as bytes to be sent. Large tensors are not copied: gRPC keeps their owners until it has sent them, which
// may be after the call has ended.
grpc::ByteBuffer ToByteBuffer(const codec::Envelope& envelope);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_BYTE_BUFFER_H_

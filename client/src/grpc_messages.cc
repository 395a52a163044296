#include "grpc_messages.h"

#include "absl/strings/str_cat.h"
#include "connection.h"
#include "rpc/byte_buffer.h"
#include "rpc/rich_status.h"
#include "runtime/guarded.h"

namespace spikeserve {

absl::StatusOr<codec::Envelope> ReadResponse(const grpc::ByteBuffer& bytes, const google::protobuf::Message& prototype,
                                             BufferPool& buffers) {
  absl::StatusOr<codec::Envelope> response =
      server::Guarded([&] { return rpc::FromByteBuffer(bytes, prototype, buffers); }, kNoMemoryForResponse);
  if (response.ok() || absl::IsResourceExhausted(response.status())) return response;
  return absl::InternalError(absl::StrCat("the server's response: ", response.status().message()));
}

absl::Status StatusOf(const grpc::Status& grpc_status) {
  absl::Status status = rpc::FromGrpc(grpc_status);
  // gRPC refuses a message over the limit, and knows nothing of the flag that sets it.
  constexpr absl::string_view kTooLarge = "eceived message larger than max";
  if (status.code() != absl::StatusCode::kResourceExhausted ||
      status.message().find(kTooLarge) == absl::string_view::npos) {
    return status;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(status.message(), "; need a smaller request, or a larger --max-message-bytes of the server"));
}

}  // namespace spikeserve

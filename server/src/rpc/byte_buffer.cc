#include "rpc/byte_buffer.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "grpcpp/support/slice.h"
#include "runtime/happens_before.h"

namespace spikeserve::rpc {
namespace {

using Owner = std::shared_ptr<const void>;

grpc::Slice ToSlice(codec::Bytes bytes) {
  auto* const owner = new Owner(std::move(bytes.owner));
  server::HappensBefore(owner);
  const auto release = +[](void* released) {
    server::HappensAfter(released);
    delete static_cast<Owner*>(released);
  };
  return grpc::Slice(const_cast<uint8_t*>(bytes.data), bytes.size, release, owner);
}

}  // namespace

absl::StatusOr<codec::Envelope> FromByteBuffer(const grpc::ByteBuffer& bytes,
                                               const google::protobuf::Message& prototype, BufferPool& buffers,
                                               int64_t max_bytes) {
  // gRPC hands over a call as well whose client has gone, or has ended it, before there was a message.
  if (!bytes.Valid()) return absl::InvalidArgumentError("no message came with the call");
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return absl::InternalError("the message's bytes cannot be read");
  std::vector<absl::string_view> pieces;
  pieces.reserve(slices.size());
  for (const grpc::Slice& slice : slices) {
    pieces.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return codec::ParseEnvelope(pieces, prototype, buffers, max_bytes);
}

grpc::ByteBuffer ToByteBuffer(const codec::Envelope& envelope) {
  std::vector<grpc::Slice> slices;
  for (codec::Bytes& piece : codec::SerializeEnvelope(envelope)) slices.push_back(ToSlice(std::move(piece)));
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace spikeserve::rpc

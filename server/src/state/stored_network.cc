#include "state/stored_network.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "codec/checkpoint_codec.h"
#include "codec/envelope.h"
#include "codec/nested_tensors.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "runtime/limits.h"
#include "state/state_file.h"
#include "status_macros.h"

namespace spikeserve::state {
namespace {

using Reply = std::unique_ptr<const codec::Envelope>;

// What a file may have beyond the bytes that its network is counted with. Tensors are in it as they are in memory;
// names and shapes stand in it once more for each parameter, gradient and moment. That comes to about 100 bytes for a
// small layer with all of these, so that this is enough for half a million layers.
constexpr int64_t kBesideTensors = int64_t{64} << 20;

void StoreReply(const codec::Envelope& reply, v1::StoredReply* stored) {
  stored->set_type(reply.message->GetDescriptor()->full_name());
  for (const codec::Bytes& piece : codec::SerializeEnvelope(reply))
    absl::StrAppend(stored->mutable_message(), piece.view());
}

// Null for a reply of a type that is not known here: a caller cannot ask for it either.
absl::StatusOr<Reply> RestoreReply(const v1::StoredReply& stored, BufferPool& buffers) {
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(stored.type());
  if (type == nullptr) return Reply();
  const auto* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
  const absl::string_view bytes = stored.message();
  SPIKESERVE_ASSIGN_OR_RETURN(codec::Envelope reply, codec::ParseEnvelope({&bytes, 1}, *prototype, buffers));
  return std::make_unique<const codec::Envelope>(reply.ShareAside(buffers));
}

}  // namespace

v1::StoredNetwork Store(const server::HeldNetwork& held) {
  v1::StoredNetwork stored;
  stored.set_network(held.name);
  stored.set_owner(held.owner);
  stored.set_next_step(held.next_step);
  codec::EncodeNetwork(held.network, stored.mutable_checkpoint());
  if (held.last_reply != nullptr) StoreReply(*held.last_reply, stored.mutable_last_reply());
  return stored;
}

int64_t RoomForFile(server::Engine& engine) {
  const server::Limits& limits = engine.limits();
  int64_t bytes = limits.max_network_bytes - engine.networks().Total().bytes;
  // Whose it is the file tells; nobody may have more than this.
  if (limits.max_network_bytes_per_identity > 0) bytes = std::min(bytes, limits.max_network_bytes_per_identity);
  return std::min(bytes, kMaxStateFileBytes) + kBesideTensors;
}

absl::Status Restore(const v1::StoredNetwork& stored, server::Engine& engine) {
  const server::Limits& limits = engine.limits();
  const int64_t bytes = codec::NestedFloatBytes(stored.checkpoint());
  if (bytes > limits.max_network_bytes) {
    return server::OverLimit("layers", bytes, "bytes of tensors", limits.max_network_bytes, "--max-network-bytes");
  }
  SPIKESERVE_ASSIGN_OR_RETURN(Network network, codec::DecodeNetwork(stored.checkpoint(), limits.max_decoded_bytes));
  Reply last_reply;
  if (stored.has_last_reply()) {
    SPIKESERVE_ASSIGN_OR_RETURN(last_reply, RestoreReply(stored.last_reply(), engine.buffers()));
  }
  return engine.networks().Restore(stored.network(), stored.owner(), std::move(network), stored.next_step(),
                                   std::move(last_reply));
}

}  // namespace spikeserve::state

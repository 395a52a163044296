// A message whose tensors' elements stand beside it, so that they are neither copied into the message nor out of it.
//
// On the wire nothing shows of this: an envelope is written as its message is, and read from what any client writes.

#ifndef SPIKESERVE_SERVER_CODEC_ENVELOPE_H_
#define SPIKESERVE_SERVER_CODEC_ENVELOPE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"
#include "memory/buffer_pool.h"
#include "spikeserve/v1/tensor.pb.h"

namespace spikeserve::codec {

using google::protobuf::Message;

// Bytes, and what keeps them alive.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
  // Null: somebody else does, as long as the envelope lives.
  std::shared_ptr<const void> owner = nullptr;

  absl::string_view view() const { return {reinterpret_cast<const char*>(data), size}; }
};

// One field of the message that is a tensor.
struct TensorField {
  // The field's number.
  int number = 0;
  // Without `data`.
  v1::Tensor header;
  // The elements of the `data` form; where they were read from the wire, at a multiple of 64.
  Bytes data;
  // The elements are in memory that another process may write to at any time (shared_memory/shared_tensors.h).
  bool shared = false;
};

// Movable; copies are made with Share.
struct Envelope {
  // Without those of its fields that are a Tensor, but for repeated ones and those of messages inside of it.
  std::unique_ptr<Message> message;
  // These fields, each at most once.
  std::vector<TensorField> tensors;

  // The field `number`; null where it is absent.
  const TensorField* Find(int number) const;
  TensorField* Find(int number);

  // Adds the field `number`, which there is none of yet.
  TensorField& Add(int number);

  // A copy whose tensors share the elements.
  Envelope Share() const;
  // The same to be kept beyond the call, by somebody who counts it: buffers of `pool` are set aside for it.
  Envelope ShareAside(const BufferPool& pool) const;

  // The memory that it takes, with the elements.
  int64_t ByteSize() const;
  // The bytes of the elements alone, and of all that is beside them.
  size_t ElementBytes() const;
  int64_t BytesBesideElements() const { return ByteSize() - static_cast<int64_t>(ElementBytes()); }
  // The elements that its tensors say that they have, in whatever form they come, or rows, as ElementsOrRows; 2^63 - 1
  // where they are more.
  int64_t Elements() const;
  // Of the bytes of the elements, those in buffers that the pool counts as in use.
  size_t PooledBytes() const;
};

// Reads a message of `prototype`'s type from bytes that come in pieces. Each tensor's elements are copied once, into a
// buffer of `pool`. INVALID_ARGUMENT for bytes that Protobuf would not parse either; RESOURCE_EXHAUSTED, before they
// are parsed, where all but the elements of tensors would take more than `max_bytes`. Fields that the message does not
// have are dropped where they are large.
absl::StatusOr<Envelope> ParseEnvelope(absl::Span<const absl::string_view> pieces, const Message& prototype,
                                       BufferPool& pool, int64_t max_bytes = std::numeric_limits<int64_t>::max());

// The bytes of the envelope as its message, in pieces. Those of large tensors are the envelope's own and share its
// owners; the others are owned by the pieces.
std::vector<Bytes> SerializeEnvelope(const Envelope& envelope);

// A field whose elements, where they are of one of these dtypes, may change while they are read.
struct InPlaceField {
  int number;
  absl::InlinedVector<v1::DataType, 2> dtypes;
};

// A copy of `envelope` in which the shared elements are in buffers of `pool` and no longer shared, but for those of the
// fields `in_place`. nullopt where nothing is to be copied.
std::optional<Envelope> CopyShared(const Envelope& envelope, absl::Span<const InPlaceField> in_place, BufferPool& pool);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_ENVELOPE_H_

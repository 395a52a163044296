// How the messages of an input come to the server: in pieces, and some of them large.

#ifndef SPIKESERVE_TESTS_FUZZ_ARRIVING_H_
#define SPIKESERVE_TESTS_FUZZ_ARRIVING_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "codec/envelope.h"
#include "codec/parsed_size.h"
#include "fuzz/fuzzing.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "runtime/at_once.h"
#include "spikeserve/v1/tensor.pb.h"
#include "support/envelopes.h"

namespace spikeserve::testing {

using google::protobuf::Message;

// What all but the elements of a message's tensors may take when they are parsed: more than the padding of one, and
// less than what a fuzzer makes of that and as many bytes as it likes to use. It is only asked of large messages.
constexpr int64_t kMaxParsedBytes = 80 << 10;

// The number of the first field of the type that is one tensor; nullopt where it has none.
inline std::optional<int> FirstTensor(const google::protobuf::Descriptor* type) {
  for (int i = 0; i < type->field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = type->field(i);
    if (!field->is_repeated() && field->message_type() == v1::Tensor::descriptor()) return field->number();
  }
  return std::nullopt;
}

// Messages of more bytes, elements of tensors aside, are sized before they are parsed (ParsedLimit in envelope.cc).
constexpr size_t kUnsizedBytes = 64 << 10;

// `message`, behind as many bytes as `padding` says of a field that no message has: it says what it said.
inline std::string Padded(absl::string_view message, Padding padding, const Message& prototype) {
  constexpr int kNoField = 1000;
  google::protobuf::UnknownFieldSet fields;
  if (padding != Padding::kNone) {
    const size_t size = padding == Padding::kOverSmallRequest ? server::kSmallRequest : kUnsizedBytes;
    fields.AddLengthDelimited(kNoField, std::string(size, 'p'));
  }
  std::string padded;
  SPIKESERVE_REQUIRE(fields.SerializeToString(&padded));
  const std::optional<int> tensor = FirstTensor(prototype.GetDescriptor());
  if (padding == Padding::kLargeTensor && tensor) {
    fields.Clear();
    fields.AddLengthDelimited(*tensor, padded);
    SPIKESERVE_REQUIRE(fields.SerializeToString(&padded));
  }
  return padded.append(message.data(), message.size());
}

// `bytes` in pieces, as gRPC hands over what came in several reads. Their lengths, some of them 0, are of every order
// of magnitude, and depend on nothing but the bytes: an input that fails does so each time.
inline std::vector<absl::string_view> Cut(absl::string_view bytes) {
  std::minstd_rand random(static_cast<uint32_t>(std::hash<std::string_view>()({bytes.data(), bytes.size()})));
  std::vector<absl::string_view> pieces;
  while (!bytes.empty()) {
    const size_t longest = size_t{1} << random() % 12;
    pieces.push_back(bytes.substr(0, random() % (longest + 1)));
    bytes.remove_prefix(pieces.back().size());
  }
  return pieces;
}

// Where Protobuf reads the bytes as well, it reads the same, and that takes no more than it was taken to. (It is
// stricter with numbers that are longer than they need to be, and with how deep groups are.)
inline void RequireAsProtobuf(absl::string_view bytes, const codec::Envelope& envelope) {
  const std::unique_ptr<Message> parsed(envelope.message->New()), read(envelope.message->New());
  if (!parsed->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const std::optional<int64_t> size =
      codec::ParsedSize({&bytes, 1}, parsed->GetDescriptor(), std::numeric_limits<int64_t>::max());
  // The elements of tensors, which are not in it, are among the bytes.
  const int64_t elements = 2 * static_cast<int64_t>(bytes.size());
  SPIKESERVE_REQUIRE(!size || static_cast<int64_t>(parsed->SpaceUsedLong()) <= *size + elements);
  SPIKESERVE_REQUIRE(read->ParseFromString(Serialized(envelope)));
  // Of large messages, the envelope leaves these out.
  parsed->DiscardUnknownFields();
  read->DiscardUnknownFields();
  SPIKESERVE_REQUIRE(read->SerializeAsString() == parsed->SerializeAsString());
}

// What a transport gives for a message that came so. It does not matter how the bytes are cut.
inline absl::StatusOr<codec::Envelope> ParsePieces(absl::string_view bytes, const Message& prototype,
                                                   BufferPool& buffers) {
  absl::StatusOr<codec::Envelope> cut = codec::ParseEnvelope(Cut(bytes), prototype, buffers, kMaxParsedBytes);
  const absl::StatusOr<codec::Envelope> whole = codec::ParseEnvelope({&bytes, 1}, prototype, buffers, kMaxParsedBytes);
  SPIKESERVE_REQUIRE(cut.status() == whole.status());
  if (!cut.ok()) return cut;
  SPIKESERVE_REQUIRE(Serialized(*cut) == Serialized(*whole));
  RequireAsProtobuf(bytes, *cut);
  return cut;
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_FUZZ_ARRIVING_H_

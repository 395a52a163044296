#include "codec/parsed_size.h"

#include <string>

#include "absl/container/flat_hash_map.h"
#include "codec/wire_reader.h"
#include "google/protobuf/message.h"
#include "google/protobuf/wire_format_lite.h"
#include "spikeserve/v1/tensor.pb.h"

namespace spikeserve::codec {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

// What the allocator takes for a small object beside it, and who points to it.
constexpr int64_t kObject = 32;
// Elements of repeated fields: their memory doubles as they grow.
constexpr int64_t kElement = 2 * int64_t{sizeof(int64_t)};
// A field that the message does not have, or has of another type, is kept while it is parsed: at most as a set of its
// own.
constexpr int64_t kUnknown = 96;
// Messages within messages, as Protobuf allows them, and the one that they are in.
constexpr int kMaxDepth = 101;

// Whether Protobuf takes a field that comes as `type` for the one that it knows.
bool Matches(const FieldDescriptor& field, WireFormatLite::WireType type) {
  const auto own = WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
  return type == own || (field.is_packable() && type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

// An empty message of the type, without where it is kept.
int64_t MessageSize(const Descriptor* type) {
  return google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->SpaceUsedLong();
}

class Sizer {
 public:
  Sizer(Cursor& cursor, int64_t enough) : cursor_(cursor), enough_(enough) {}

  // Adds what is in the next `size` bytes, of a message of `type`. False where they cannot be read, or it is enough.
  bool Add(size_t size, const Descriptor* type, int depth) {
    if (depth == 0) return false;
    return ForEachField(cursor_, size, [&](uint32_t tag) {
      const FieldDescriptor* field = type->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      const bool known = field != nullptr && Matches(*field, WireFormatLite::GetTagWireType(tag));
      return AddField(tag, known ? field : nullptr, depth);
    });
  }

  int64_t bytes() const { return bytes_; }

 private:
  bool AddField(uint32_t tag, const FieldDescriptor* field, int depth) {
    if (bytes_ > enough_) return false;
    bytes_ += field == nullptr ? kUnknown : field->is_repeated() ? kElement : 0;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        return cursor_.Varint().has_value();
      case WireFormatLite::WIRETYPE_FIXED32:
        return Skip(4);
      case WireFormatLite::WIRETYPE_FIXED64:
        return Skip(8);
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        return AddLengthDelimited(field, depth);
      case WireFormatLite::WIRETYPE_START_GROUP:
        return AddGroup(
            WireFormatLite::MakeTag(WireFormatLite::GetTagFieldNumber(tag), WireFormatLite::WIRETYPE_END_GROUP),
            depth - 1);
      default:
        return false;
    }
  }

  bool AddLengthDelimited(const FieldDescriptor* field, int depth) {
    const std::optional<size_t> length = cursor_.Length();
    if (!length) return false;
    if (field != nullptr && field->message_type() != nullptr) {
      bytes_ += MessageSizeOf(field->message_type()) + kObject;
      return Add(*length, field->message_type(), depth - 1);
    }
    if (field != nullptr && field->is_packable()) {
      if (field->type() == FieldDescriptor::TYPE_DOUBLE) {  // Varints are all others that there are.
        bytes_ += 2 * static_cast<int64_t>(*length);
        return Skip(*length);
      }
      cursor_.Read(*length, [&](const char* data, size_t run) {
        int64_t ends = 0;
        for (size_t i = 0; i < run; ++i) ends += static_cast<unsigned char>(data[i]) < 0x80;
        bytes_ += kElement * ends;
      });
      return true;
    }
    // The elements of a tensor take what they take on the wire, which is bounded already.
    if (field == data_) return Skip(*length);
    bytes_ += static_cast<int64_t>(sizeof(std::string) + *length) + kObject;
    return Skip(*length);
  }

  // No message has groups, so that they are unknown.
  bool AddGroup(uint32_t end, int depth) {
    if (depth == 0) return false;
    for (;;) {
      const std::optional<uint64_t> tag = cursor_.Varint();
      if (!tag || *tag > UINT32_MAX) return false;
      if (*tag == end) return true;
      if (!AddField(static_cast<uint32_t>(*tag), nullptr, depth)) return false;
    }
  }

  bool Skip(size_t size) {
    if (size > cursor_.left()) return false;
    cursor_.Read(size, [](const char*, size_t) {});
    return true;
  }

  // Messages are slow to ask.
  int64_t MessageSizeOf(const Descriptor* type) {
    const auto [size, fresh] = message_sizes_.try_emplace(type, 0);
    if (fresh) size->second = MessageSize(type);
    return size->second;
  }

  Cursor& cursor_;
  const int64_t enough_;
  int64_t bytes_ = 0;
  absl::flat_hash_map<const Descriptor*, int64_t> message_sizes_;
  const FieldDescriptor* const data_ = v1::Tensor::descriptor()->FindFieldByNumber(v1::Tensor::kDataFieldNumber);
};

}  // namespace

std::optional<int64_t> ParsedSize(absl::Span<const absl::string_view> pieces, const Descriptor* type, int64_t enough) {
  Cursor cursor(pieces);
  Sizer sizer(cursor, enough);
  const bool whole = sizer.Add(cursor.left(), type, kMaxDepth);
  if (!whole && sizer.bytes() <= enough) return std::nullopt;
  return sizer.bytes() + MessageSize(type);
}

}  // namespace spikeserve::codec

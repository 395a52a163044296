#include "codec/envelope.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "codec/parsed_size.h"
#include "codec/tensor_header.h"
#include "codec/wire_reader.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl.h"
#include "google/protobuf/wire_format_lite.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve::codec {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

// Tensors with more bytes than this are sent from where they are: below, a piece of their own costs more than to copy
// them.
constexpr size_t kOwnPiece = 8 << 10;
// Groups within groups, as Protobuf allows them.
constexpr int kMaxDepth = 100;

// The numbers of a message's fields that are a tensor of which there is at most one.
class TensorNumbers {
 public:
  explicit TensorNumbers(const Descriptor* type) {
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (!field->is_repeated() && field->message_type() == v1::Tensor::descriptor()) {
        numbers_.push_back(field->number());
      }
    }
  }

  bool empty() const { return numbers_.empty(); }
  bool contains(int number) const { return std::find(numbers_.begin(), numbers_.end(), number) != numbers_.end(); }

  // Those of `type`, found out once in each thread: descriptors are slow to ask.
  static const TensorNumbers& Of(const Descriptor* type) {
    thread_local absl::flat_hash_map<const Descriptor*, std::unique_ptr<const TensorNumbers>> known;
    std::unique_ptr<const TensorNumbers>& numbers = known[type];
    if (numbers == nullptr) numbers = std::make_unique<const TensorNumbers>(type);
    return *numbers;
  }

 private:
  absl::InlinedVector<int, 4> numbers_;
};

// Parses a message as Protobuf does, without a copy of the bytes.
bool ParsePlain(absl::Span<const absl::string_view> pieces, Message& message) {
  std::vector<std::unique_ptr<google::protobuf::io::ZeroCopyInputStream>> streams;
  std::vector<google::protobuf::io::ZeroCopyInputStream*> pointers;
  for (const absl::string_view piece : pieces) {
    streams.push_back(
        std::make_unique<google::protobuf::io::ArrayInputStream>(piece.data(), static_cast<int>(piece.size())));
    pointers.push_back(streams.back().get());
  }
  google::protobuf::io::ConcatenatingInputStream all(pointers.data(), static_cast<int>(pointers.size()));
  return message.ParseFromZeroCopyStream(&all);
}

void AppendVarint(uint64_t value, std::string& out) {
  uint8_t bytes[10];
  const uint8_t* end = CodedOutputStream::WriteVarint64ToArray(value, bytes);
  out.append(reinterpret_cast<const char*>(bytes), end - bytes);
}

void Append(Cursor& cursor, size_t size, std::string& out) {
  cursor.Read(size, [&](const char* data, size_t run) { out.append(data, run); });
}

// Copies the field whose tag was read, as it is, to `out`.
bool CopyField(Cursor& cursor, uint32_t tag, int depth, std::string& out) {
  AppendVarint(tag, out);
  switch (WireFormatLite::GetTagWireType(tag)) {
    case WireFormatLite::WIRETYPE_VARINT: {
      const std::optional<uint64_t> value = cursor.Varint();
      if (!value) return false;
      AppendVarint(*value, out);
      return true;
    }
    case WireFormatLite::WIRETYPE_FIXED32:
    case WireFormatLite::WIRETYPE_FIXED64: {
      const size_t size = WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_FIXED32 ? 4 : 8;
      if (size > cursor.left()) return false;
      Append(cursor, size, out);
      return true;
    }
    case WireFormatLite::WIRETYPE_LENGTH_DELIMITED: {
      const std::optional<size_t> length = cursor.Length();
      if (!length) return false;
      AppendVarint(*length, out);
      Append(cursor, *length, out);
      return true;
    }
    case WireFormatLite::WIRETYPE_START_GROUP: {
      if (depth == 0) return false;
      const uint32_t end =
          WireFormatLite::MakeTag(WireFormatLite::GetTagFieldNumber(tag), WireFormatLite::WIRETYPE_END_GROUP);
      for (;;) {
        const std::optional<uint64_t> inner = cursor.Varint();
        if (!inner || *inner > UINT32_MAX) return false;
        if (*inner == end) {
          AppendVarint(end, out);
          return true;
        }
        if (!CopyField(cursor, static_cast<uint32_t>(*inner), depth - 1, out)) return false;
      }
    }
    default:
      return false;
  }
}

// What messages may take when they are parsed. Protobuf makes much of few bytes: of a message without fields 20 times
// as many.
class ParsedLimit {
 public:
  explicit ParsedLimit(int64_t bytes) : left_(bytes) {}

  // Whether a message of `type` may be parsed from these bytes, beside those that were; false also where it cannot be.
  bool Allows(absl::Span<const absl::string_view> pieces, const Descriptor* type) {
    for (const absl::string_view piece : pieces) seen_ += piece.size();
    if (!large()) return true;
    const std::optional<int64_t> parsed = ParsedSize(pieces, type, left_);
    if (!parsed) return false;
    left_ -= *parsed;
    return left_ >= 0;
  }
  bool Allows(absl::string_view bytes, const Descriptor* type) { return Allows({&bytes, 1}, type); }

  bool reached() const { return left_ < 0; }

  // Whether so much has come that it pays to look at what it becomes.
  bool large() const { return seen_ > (64 << 10); }

 private:
  int64_t left_;
  size_t seen_ = 0;
};

// Reads one occurrence of a tensor; what it says comes on top of what others before it said.
bool ReadTensor(Cursor& cursor, BufferPool& pool, ParsedLimit& limit, TensorField& field) {
  constexpr uint32_t kData =
      WireFormatLite::MakeTag(v1::Tensor::kDataFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  const std::optional<size_t> size = cursor.Length();
  if (!size) return false;
  std::string rest;
  const bool whole = ForEachField(cursor, *size, [&](uint32_t tag) {
    if (tag != kData) return CopyField(cursor, tag, kMaxDepth, rest);
    const std::optional<size_t> length = cursor.Length();
    if (!length) return false;
    std::shared_ptr<uint8_t> buffer = pool.Take(*length);
    uint8_t* out = buffer.get();
    cursor.Read(*length, [&](const char* data, size_t run) {
      std::memcpy(out, data, run);
      out += run;
    });
    field.data = {buffer.get(), *length, std::move(buffer)};
    return true;
  });
  return whole && limit.Allows(rest, v1::Tensor::descriptor()) && field.header.MergeFromString(rest);
}

}  // namespace

const TensorField* Envelope::Find(int number) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.number == number; });
  return it == tensors.end() ? nullptr : &*it;
}

TensorField* Envelope::Find(int number) { return const_cast<TensorField*>(std::as_const(*this).Find(number)); }

TensorField& Envelope::Add(int number) {
  if (tensors.empty()) tensors.reserve(4);  // As many as most messages have.
  TensorField& field = tensors.emplace_back();
  field.number = number;
  return field;
}

Envelope Envelope::Share() const {
  Envelope copy{std::unique_ptr<Message>(message->New()), tensors};
  copy.message->CopyFrom(*message);
  return copy;
}

Envelope Envelope::ShareAside(const BufferPool& pool) const {
  Envelope copy = Share();
  for (TensorField& tensor : copy.tensors) tensor.data.owner = pool.SetAside(std::move(tensor.data.owner));
  return copy;
}

int64_t Envelope::ByteSize() const {
  size_t bytes = message->SpaceUsedLong();
  for (const TensorField& tensor : tensors) bytes += tensor.header.SpaceUsedLong() + tensor.data.size;
  return static_cast<int64_t>(bytes);
}

size_t Envelope::ElementBytes() const {
  size_t bytes = 0;
  for (const TensorField& tensor : tensors) bytes += tensor.data.size;
  return bytes;
}

int64_t Envelope::Elements() const {
  constexpr int64_t kMany = std::numeric_limits<int64_t>::max();
  int64_t elements = 0;
  for (const TensorField& tensor : tensors) {
    const int64_t more = ElementsOrRows(tensor.header);
    elements = more > kMany - elements ? kMany : elements + more;
  }
  return elements;
}

size_t Envelope::PooledBytes() const {
  size_t bytes = 0;
  for (const TensorField& tensor : tensors) {
    if (!tensor.shared && tensor.data.size >= BufferPool::kSmallestCounted) bytes += tensor.data.size;
  }
  return bytes;
}

absl::StatusOr<Envelope> ParseEnvelope(absl::Span<const absl::string_view> pieces, const Message& prototype,
                                       BufferPool& pool, int64_t max_bytes) {
  Cursor cursor(pieces);
  const size_t size = cursor.left();
  const Descriptor* type = prototype.GetDescriptor();
  const TensorNumbers& tensors = TensorNumbers::Of(type);
  Envelope envelope{std::unique_ptr<Message>(prototype.New()), {}};
  ParsedLimit limit(max_bytes);
  const auto read = [&] {
    if (tensors.empty()) return limit.Allows(pieces, type) && ParsePlain(pieces, *envelope.message);
    // The fields that are no tensors; Protobuf parses them.
    std::string rest;
    const auto read_field = [&](uint32_t tag) {
      const int number = WireFormatLite::GetTagFieldNumber(tag);
      if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED ||
          !tensors.contains(number)) {
        return CopyField(cursor, tag, kMaxDepth, rest);
      }
      TensorField* field = envelope.Find(number);
      if (field == nullptr) {
        field = &envelope.Add(number);
      }
      return ReadTensor(cursor, pool, limit, *field);
    };
    return ForEachField(cursor, size, read_field) && limit.Allows(rest, type) &&
           envelope.message->ParseFromString(rest);
  };
  if (!read()) {
    if (limit.reached()) {
      return absl::ResourceExhaustedError(absl::StrCat("request: ", size, " bytes that take more than ", max_bytes,
                                                       " bytes when parsed, beside the data of tensors; need at most ",
                                                       max_bytes, " (the server's --max-decoded-bytes)"));
    }
    return absl::InvalidArgumentError(
        absl::StrCat("request: ", size, " bytes that do not parse; need a ", type->full_name(), ", whole"));
  }
  // Whoever keeps the message keeps what the server does not know, too.
  if (limit.large()) {
    envelope.message->DiscardUnknownFields();
    for (TensorField& field : envelope.tensors) field.header.DiscardUnknownFields();
  }
  return envelope;
}

std::vector<Bytes> SerializeEnvelope(const Envelope& envelope) {
  std::vector<Bytes> pieces;
  // What comes before the next piece that is a tensor's.
  std::string text;
  size_t small = envelope.message->ByteSizeLong();
  for (const TensorField& field : envelope.tensors) {
    constexpr size_t kHeader = 64;  // Of most tensors, more than enough.
    small += kHeader + (field.data.size < kOwnPiece ? field.data.size : 0);
  }
  text.reserve(small);
  envelope.message->AppendToString(&text);
  const auto flush = [&] {
    if (text.empty()) return;
    auto owner = std::make_shared<std::string>(std::move(text));
    text.clear();
    pieces.push_back({reinterpret_cast<const uint8_t*>(owner->data()), owner->size(), owner});
  };
  for (const TensorField& field : envelope.tensors) {
    const std::string header = field.header.SerializeAsString();
    std::string before_data;
    if (field.data.size > 0) {
      AppendVarint(WireFormatLite::MakeTag(v1::Tensor::kDataFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED),
                   before_data);
      AppendVarint(field.data.size, before_data);
    }
    AppendVarint(WireFormatLite::MakeTag(field.number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED), text);
    AppendVarint(header.size() + before_data.size() + field.data.size, text);
    absl::StrAppend(&text, header, before_data);
    if (field.data.size < kOwnPiece) {
      text.append(field.data.view().data(), field.data.size);
      continue;
    }
    flush();
    pieces.push_back(field.data);
  }
  flush();
  return pieces;
}

std::optional<Envelope> CopyShared(const Envelope& envelope, absl::Span<const InPlaceField> in_place,
                                   BufferPool& pool) {
  const auto must_copy = [&](const TensorField& field) {
    const auto allowed =
        std::find_if(in_place.begin(), in_place.end(), [&](const auto& f) { return f.number == field.number; });
    return field.shared && (allowed == in_place.end() || std::find(allowed->dtypes.begin(), allowed->dtypes.end(),
                                                                   field.header.dtype()) == allowed->dtypes.end());
  };
  if (std::none_of(envelope.tensors.begin(), envelope.tensors.end(), must_copy)) return std::nullopt;
  Envelope copy = envelope.Share();
  for (TensorField& field : copy.tensors) {
    if (!must_copy(field)) continue;
    std::shared_ptr<uint8_t> buffer = pool.Take(field.data.size);
    if (field.data.size > 0) std::memcpy(buffer.get(), field.data.data, field.data.size);
    field.data = {buffer.get(), field.data.size, std::move(buffer)};
    field.shared = false;
  }
  return copy;
}

}  // namespace spikeserve::codec

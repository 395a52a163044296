// Reads Protobuf's wire format.

#ifndef SPIKESERVE_SERVER_CODEC_WIRE_READER_H_
#define SPIKESERVE_SERVER_CODEC_WIRE_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/wire_format_lite.h"

namespace spikeserve::codec {

// Reads bytes that come in pieces.
class Cursor {
 public:
  explicit Cursor(absl::Span<const absl::string_view> pieces) : pieces_(pieces) {
    for (const absl::string_view piece : pieces) left_ += piece.size();
    NextPiece();
  }

  // Bytes up to the end.
  size_t left() const { return left_; }

  std::optional<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const uint8_t* byte = Next();
      if (byte == nullptr) return std::nullopt;
      value |= uint64_t{*byte & 0x7fu} << shift;
      if (*byte < 0x80) return value;
    }
    return std::nullopt;
  }

  // The length of a field that has one; it lies within what is left.
  std::optional<size_t> Length() {
    const std::optional<uint64_t> length = Varint();
    if (!length || *length > left_) return std::nullopt;
    return static_cast<size_t>(*length);
  }

  // Calls fn(data, size) for consecutive runs of the next `size` bytes. Needs size <= left().
  template <typename Fn>
  void Read(size_t size, Fn fn) {
    left_ -= size;
    while (size > 0) {
      const size_t run = std::min(size, piece_.size());
      fn(piece_.data(), run);
      piece_.remove_prefix(run);
      size -= run;
      NextPiece();
    }
  }

 private:
  const uint8_t* Next() {
    if (left_ == 0) return nullptr;
    const auto* byte = reinterpret_cast<const uint8_t*>(piece_.data());
    piece_.remove_prefix(1);
    --left_;
    NextPiece();
    return byte;
  }

  void NextPiece() {
    while (piece_.empty() && !pieces_.empty()) {
      piece_ = pieces_.front();
      pieces_.remove_prefix(1);
    }
  }

  absl::Span<const absl::string_view> pieces_;
  absl::string_view piece_;
  size_t left_ = 0;
};

// Reads fields up to `size` bytes from here. fn(tag) takes the one that follows, and says whether it could.
template <typename Fn>
bool ForEachField(Cursor& cursor, size_t size, Fn fn) {
  const size_t end = cursor.left() - size;
  while (cursor.left() > end) {
    const std::optional<uint64_t> tag = cursor.Varint();
    if (!tag || *tag > UINT32_MAX ||
        google::protobuf::internal::WireFormatLite::GetTagFieldNumber(static_cast<uint32_t>(*tag)) == 0 ||
        !fn(static_cast<uint32_t>(*tag))) {
      return false;
    }
  }
  // A field that reaches beyond the end is an error.
  return cursor.left() == end;
}

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_WIRE_READER_H_

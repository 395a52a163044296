// The memory that decoding and computing may take, and for how long decoding may go on.

#ifndef SPIKESERVE_SERVER_CODEC_ROOM_H_
#define SPIKESERVE_SERVER_CODEC_ROOM_H_

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "status_macros.h"

namespace spikeserve::codec {

// Whom it is for.
class Memory {
 public:
  virtual ~Memory() = default;
  // Takes so many bytes, until all that it counts go together; RESOURCE_EXHAUSTED where there are no more.
  virtual absl::Status Take(int64_t bytes) = 0;
  // The same for bytes that somebody else counts from then on: asks, and takes nothing.
  virtual absl::Status Expect(int64_t bytes) = 0;
  // OK, or why nobody wants it any more.
  virtual absl::Status Wanted() = 0;
};

// How much decoding may take for one tensor, and who counts it. A few words, which are copied.
class Room {
 public:
  // Nobody counts it.
  Room(int64_t max_bytes) : max_bytes_(max_bytes) {}  // NOLINT(google-explicit-constructor)
  // `memory` must outlive this.
  Room(int64_t max_bytes, Memory& memory) : max_bytes_(max_bytes), memory_(&memory) {}

  // The most that one tensor may take.
  int64_t max_bytes() const { return max_bytes_; }

  // Asked before memory is taken for `count` elements of so many bytes: for a tensor that is decoded, which max_bytes()
  // allows, or for what is made of it. What is small is not counted.
  absl::Status Take(int64_t count, int64_t element_bytes) const {
    const int64_t bytes = count * element_bytes;
    return memory_ == nullptr || bytes <= kSmall ? absl::OkStatus() : memory_->Take(bytes);
  }
  absl::Status Expect(int64_t bytes) const {
    return memory_ == nullptr || bytes <= kSmall ? absl::OkStatus() : memory_->Expect(bytes);
  }

  // Asked every some milliseconds: see InPieces.
  absl::Status Wanted() const { return memory_ == nullptr ? absl::OkStatus() : memory_->Wanted(); }

 private:
  static constexpr int64_t kSmall = 16 << 10;

  int64_t max_bytes_;
  Memory* memory_ = nullptr;
};

// Calls fn(begin, end), which may fail, for consecutive pieces of [0, count), each of a few milliseconds at most, and
// asks between them whether the result is still wanted.
template <typename Fn>
absl::Status InPieces(int64_t count, const Room& room, Fn fn) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  for (int64_t begin = 0; begin < count; begin += kPiece) {
    if (begin > 0) SPIKESERVE_RETURN_IF_ERROR(room.Wanted());
    SPIKESERVE_RETURN_IF_ERROR(fn(begin, std::min(begin + kPiece, count)));
  }
  return absl::OkStatus();
}

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_ROOM_H_

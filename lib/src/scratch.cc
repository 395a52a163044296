#include "scratch.h"

#include <bit>
#include <map>
#include <mutex>

namespace spikeserve {
namespace {

// Less comes from the heap anyway.
constexpr size_t kSmall = size_t{64} << 10;

// Blocks are of 4, 5, 6 or 7 times a power of two, so that those of much the same size stand in for each other.
size_t RoundUp(size_t bytes) {
  const size_t unit = std::bit_floor(bytes) / 4;
  return (bytes + unit - 1) / unit * unit;
}

class IdleBlocks {
 public:
  void* Take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = blocks_.find(bytes);
    if (found == blocks_.end()) return nullptr;
    void* block = found->second;
    blocks_.erase(found);
    bytes_ -= bytes;
    return block;
  }

  // Whether the block is kept.
  bool Give(void* block, size_t bytes) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes_ + bytes > kMaxIdleScratchBytes) return false;
    try {
      blocks_.emplace(bytes, block);
    } catch (const std::bad_alloc&) {
      return false;
    }
    bytes_ += bytes;
    return true;
  }

  size_t bytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
  }

 private:
  std::mutex mutex_;
  std::multimap<size_t, void*> blocks_;
  size_t bytes_ = 0;
};

// Never destroyed: other destructors may still give blocks back.
IdleBlocks& Idle() {
  static auto& idle = *new IdleBlocks;
  return idle;
}

}  // namespace

void* TakeScratch(size_t bytes) {
  if (bytes < kSmall) return ::operator new(bytes);
  const size_t size = RoundUp(bytes);
  if (void* block = Idle().Take(size); block != nullptr) return block;
  return ::operator new(size);
}

void GiveScratch(void* block, size_t bytes) noexcept {
  if (bytes >= kSmall && Idle().Give(block, RoundUp(bytes))) return;
  ::operator delete(block);
}

size_t IdleScratchBytes() { return Idle().bytes(); }

}  // namespace spikeserve

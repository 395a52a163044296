#include "memory/buffer_pool.h"

#include <list>
#include <mutex>
#include <new>

namespace spikeserve {
namespace {

// A cache line, and the width of the widest vector registers.
constexpr size_t kAlignment = 64;

uint8_t* Allocate(size_t size) { return static_cast<uint8_t*>(::operator new (size, std::align_val_t{kAlignment})); }
void Free(uint8_t* buffer) { ::operator delete (buffer, std::align_val_t{kAlignment}); }

// In one allocation, and without the allocator's functions for alignments, which take longer.
std::shared_ptr<uint8_t> TakeSmall(size_t size) {
  const auto whole = std::make_shared_for_overwrite<uint8_t[]>(size + kAlignment - 1);
  void* aligned = whole.get();
  size_t space = size + kAlignment - 1;
  std::align(kAlignment, size, aligned, space);
  return {whole, static_cast<uint8_t*>(aligned)};
}

}  // namespace

size_t RoundUpBufferSize(size_t size) {
  size_t step = BufferPool::kSmallestCounted / 8;
  while (size > step * 16) step *= 2;
  return (size + step - 1) / step * step;
}

// What the pool and the buffers that are handed out share.
class BufferPool::Shelf {
 public:
  explicit Shelf(int64_t max_idle_bytes) : max_idle_bytes_(max_idle_bytes) {}
  ~Shelf() {
    for (const Buffer& buffer : idle_) Free(buffer.bytes);
  }

  // `size` bytes, which RoundUpBufferSize gave.
  uint8_t* Take(size_t size) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++statistics_.buffers;
      statistics_.bytes_in_use += static_cast<int64_t>(size);
      for (auto it = idle_.begin(); it != idle_.end(); ++it) {
        if (it->size != size) continue;
        uint8_t* bytes = it->bytes;
        statistics_.idle_bytes -= static_cast<int64_t>(size);
        ++statistics_.reused_buffers;
        idle_.erase(it);
        return bytes;
      }
    }
    try {
      return Allocate(size);
    } catch (const std::bad_alloc&) {
      const std::lock_guard<std::mutex> lock(mutex_);
      statistics_.bytes_in_use -= static_cast<int64_t>(size);
      throw;
    }
  }

  void GiveBack(uint8_t* bytes, size_t size) {
    std::list<Buffer> surplus;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      statistics_.bytes_in_use -= static_cast<int64_t>(size);
      statistics_.idle_bytes += static_cast<int64_t>(size);
      idle_.push_front({bytes, size});
      // The ones that nobody asked for the longest go first.
      while (statistics_.idle_bytes > max_idle_bytes_) {
        statistics_.idle_bytes -= static_cast<int64_t>(idle_.back().size);
        surplus.splice(surplus.begin(), idle_, std::prev(idle_.end()));
      }
    }
    for (const Buffer& buffer : surplus) Free(buffer.bytes);
  }

  void CountInUse(int64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    statistics_.bytes_in_use += bytes;
  }

  // Nothing is kept any longer.
  void Close() {
    std::list<Buffer> all;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      max_idle_bytes_ = 0;
      statistics_.idle_bytes = 0;
      all.swap(idle_);
    }
    for (const Buffer& buffer : all) Free(buffer.bytes);
  }

  Statistics statistics() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return statistics_;
  }

 private:
  struct Buffer {
    uint8_t* bytes;
    size_t size;
  };

  mutable std::mutex mutex_;
  // All below is guarded by mutex_. The last used comes first: it is the likeliest to be in a cache.
  int64_t max_idle_bytes_;
  std::list<Buffer> idle_;
  Statistics statistics_;
};

// Gives a buffer back.
struct BufferPool::Return {
  void operator()(uint8_t* bytes) const { shelf->GiveBack(bytes, size); }

  std::shared_ptr<Shelf> shelf;
  size_t size;
};

BufferPool::BufferPool(int64_t max_idle_bytes) : shelf_(std::make_shared<Shelf>(max_idle_bytes)) {}

BufferPool::~BufferPool() { shelf_->Close(); }

std::shared_ptr<uint8_t> BufferPool::Take(size_t size) {
  if (size < kSmallestCounted) return TakeSmall(size);
  const size_t rounded = RoundUpBufferSize(size);
  return {shelf_->Take(rounded), Return{shelf_, rounded}};
}

std::shared_ptr<const void> BufferPool::SetAside(std::shared_ptr<const void> buffer) const {
  const Return* taken = std::get_deleter<Return>(buffer);
  if (taken == nullptr || taken->shelf != shelf_) return buffer;
  const auto size = static_cast<int64_t>(taken->size);
  shelf_->CountInUse(-size);
  // Where nobody else has it, it is in use for the moment before it goes.
  const void* const bytes = buffer.get();
  return {bytes, [buffer = std::move(buffer), shelf = shelf_, size](const void*) mutable {
            shelf->CountInUse(size);
            buffer.reset();
          }};
}

BufferPool::Statistics BufferPool::statistics() const { return shelf_->statistics(); }

}  // namespace spikeserve

// Memory for tensors, kept for the next call.

#ifndef SPIKESERVE_SERVER_MEMORY_BUFFER_POOL_H_
#define SPIKESERVE_SERVER_MEMORY_BUFFER_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace spikeserve {

// The size of the buffer that is taken for `size` bytes: rounded up to steps of an eighth, a multiple of 8192, so that
// calls of nearly the same size share buffers.
size_t RoundUpBufferSize(size_t size);

// Hands out buffers and keeps those that come back, up to a bound. A fresh large allocation costs more than to copy as
// many bytes into it, because the system maps and clears it page by page; a buffer that was used before costs nothing.
//
// Thread-safe. Buffers may outlive the pool: they are then freed.
class BufferPool {
 public:
  // Smaller buffers are the allocator's business, and in no statistics: they cost less than a look at those that are
  // kept.
  static constexpr size_t kSmallestCounted = size_t{64} << 10;

  struct Statistics {
    // Of the buffers that are handed out and not set aside, and of those that are kept for later.
    int64_t bytes_in_use = 0;
    int64_t idle_bytes = 0;
    // Buffers handed out so far, and how many of them were used before.
    int64_t buffers = 0;
    int64_t reused_buffers = 0;
  };

  // Keeps at most `max_idle_bytes` of buffers that nobody uses.
  explicit BufferPool(int64_t max_idle_bytes);
  ~BufferPool();

  // At least `size` bytes at a multiple of 64, of any content. They come back when the last reference goes. Throws
  // std::bad_alloc as operator new does.
  std::shared_ptr<uint8_t> Take(size_t size);

  // For a buffer of this pool that is kept beyond the call that took it, by somebody who counts it himself: it is not
  // in use while the result, which holds `buffer`, lives. Other owners are given back as they are.
  std::shared_ptr<const void> SetAside(std::shared_ptr<const void> buffer) const;

  Statistics statistics() const;

 private:
  class Shelf;
  struct Return;
  const std::shared_ptr<Shelf> shelf_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SERVER_MEMORY_BUFFER_POOL_H_

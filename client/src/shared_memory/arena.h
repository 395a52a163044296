// The memory that a client shares with its server.

#ifndef SPIKESERVE_CLIENT_SHARED_MEMORY_ARENA_H_
#define SPIKESERVE_CLIENT_SHARED_MEMORY_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "shared_memory/file_descriptor.h"

namespace spikeserve {

// One piece of memory that can be shared: a memfd, sealed at its length, and this process's mapping of it.
class ArenaRegion {
 public:
  // `size` bytes, zeros, at a multiple of the page size, with all pages there. Null where the system refuses.
  static std::shared_ptr<const ArenaRegion> Create(size_t size);
  ~ArenaRegion();
  ArenaRegion(const ArenaRegion&) = delete;
  ArenaRegion& operator=(const ArenaRegion&) = delete;

  // No other region of this process has or had the same.
  uint64_t id() const { return id_; }
  int descriptor() const { return descriptor_.get(); }
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  ArenaRegion(shared_memory::FileDescriptor descriptor, uint8_t* data, size_t size);

  const uint64_t id_;
  const shared_memory::FileDescriptor descriptor_;
  uint8_t* const data_;
  const size_t size_;
};

// Hands out buffers, each a region of its own, and keeps those that come back for the next call.
//
// Thread-safe. Buffers may outlive whoever made the arena, and then keep it.
class Arena : public std::enable_shared_from_this<Arena> {
 public:
  struct Place {
    std::shared_ptr<const ArenaRegion> region;
    uint64_t offset;
  };

  // At most `max_bytes` in all, handed out or kept. `gone` is called with the id of each region that the arena gives
  // up, from any thread.
  static std::shared_ptr<Arena> Create(int64_t max_bytes, std::function<void(uint64_t id)> gone);

  // At least `size` bytes, of any content. They come back when the last reference goes. Null where there is no room.
  std::shared_ptr<uint8_t> Take(size_t size);

  // Where the `size` bytes at `data` are; nullopt where they are not within one buffer.
  std::optional<Place> Find(const void* data, size_t size) const;

  // Does not keep `buffer`, which Take gave, when it comes back.
  void GiveUp(const uint8_t* buffer);
  // Gives up what is kept. Returns whether there was anything.
  bool Trim();
  // Gives up what is kept, and what comes back from now on.
  void Close();

  // Of all regions.
  int64_t bytes() const;

 private:
  using Region = std::shared_ptr<const ArenaRegion>;

  Arena(int64_t max_bytes, std::function<void(uint64_t id)> gone);
  // A buffer that was kept, or null after the bytes for a new one were booked; `room` tells whether there are any.
  Region TakeIdle(size_t size, bool& room);
  void TakeBack(const Region& region);
  // Forgets those kept that nobody asked for the longest, until at most `bytes` are left; returns them, for GiveUpAll.
  // The caller holds mutex_.
  std::list<Region> Shrink(int64_t bytes);
  // Without the lock: to unmap takes a while, and `gone` is somebody else's.
  void GiveUpAll(const std::list<Region>& regions) const;

  const std::function<void(uint64_t id)> gone_;
  struct Entry {
    Region region;
    bool give_up = false;
  };
  mutable std::mutex mutex_;  // Guards the members below it.
  int64_t max_bytes_;
  int64_t bytes_ = 0;
  std::map<uintptr_t, Entry> regions_;  // By address.
  std::list<Region> idle_;              // The last used comes first.
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_SHARED_MEMORY_ARENA_H_

#include "shared_memory/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "memory/buffer_pool.h"

namespace spikeserve {
namespace {

uintptr_t AddressOf(const void* data) { return reinterpret_cast<uintptr_t>(data); }

uint64_t NextId() {
  static std::atomic<uint64_t> next = 0;
  return next.fetch_add(1);
}

}  // namespace

ArenaRegion::ArenaRegion(shared_memory::FileDescriptor descriptor, uint8_t* data, size_t size)
    : id_(NextId()), descriptor_(std::move(descriptor)), data_(data), size_(size) {}

std::shared_ptr<const ArenaRegion> ArenaRegion::Create(size_t size) {
  shared_memory::FileDescriptor descriptor(memfd_create("spikeserve", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  // The pages are allocated here, where it can fail; on first use it would end the process.
  if (!descriptor || ftruncate(descriptor.get(), static_cast<off_t>(size)) != 0 ||
      fallocate(descriptor.get(), 0, 0, static_cast<off_t>(size)) != 0 ||
      fcntl(descriptor.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return nullptr;
  }
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor.get(), 0);
  if (data == MAP_FAILED) return nullptr;
  return std::shared_ptr<const ArenaRegion>(new ArenaRegion(std::move(descriptor), static_cast<uint8_t*>(data), size));
}

ArenaRegion::~ArenaRegion() { munmap(data_, size_); }

Arena::Arena(int64_t max_bytes, std::function<void(uint64_t id)> gone)
    : gone_(std::move(gone)), max_bytes_(max_bytes) {}

std::shared_ptr<Arena> Arena::Create(int64_t max_bytes, std::function<void(uint64_t id)> gone) {
  return std::shared_ptr<Arena>(new Arena(max_bytes, std::move(gone)));
}

std::shared_ptr<uint8_t> Arena::Take(size_t size) {
  const size_t rounded = RoundUpBufferSize(std::max<size_t>(size, 1));
  bool room = false;
  Region region = TakeIdle(rounded, room);
  if (region == nullptr) {
    if (!room) return nullptr;
    region = ArenaRegion::Create(rounded);
    const std::lock_guard lock(mutex_);
    if (region == nullptr) {
      bytes_ -= static_cast<int64_t>(rounded);
      return nullptr;
    }
    regions_[AddressOf(region->data())] = {region};
  }
  uint8_t* data = region->data();
  return {data, [arena = shared_from_this(), region = std::move(region)](uint8_t*) { arena->TakeBack(region); }};
}

Arena::Region Arena::TakeIdle(size_t size, bool& room) {
  std::list<Region> surplus;
  {
    const std::lock_guard lock(mutex_);
    const auto same = std::find_if(idle_.begin(), idle_.end(), [&](const Region& r) { return r->size() == size; });
    if (same != idle_.end()) {
      Region region = std::move(*same);
      idle_.erase(same);
      return region;
    }
    const int64_t wanted = static_cast<int64_t>(size);
    if (wanted <= max_bytes_) surplus = Shrink(max_bytes_ - wanted);
    room = wanted <= max_bytes_ - bytes_;
    if (room) bytes_ += wanted;
  }
  GiveUpAll(surplus);
  return nullptr;
}

void Arena::TakeBack(const Region& region) {
  std::list<Region> surplus;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = regions_.find(AddressOf(region->data()));
    if (entry->second.give_up) {
      bytes_ -= static_cast<int64_t>(region->size());
      regions_.erase(entry);
      surplus.push_back(region);
    } else {
      idle_.push_front(region);
      surplus = Shrink(max_bytes_);
    }
  }
  GiveUpAll(surplus);
}

std::list<Arena::Region> Arena::Shrink(int64_t bytes) {
  std::list<Region> surplus;
  while (bytes_ > bytes && !idle_.empty()) {
    const Region& region = idle_.back();
    bytes_ -= static_cast<int64_t>(region->size());
    regions_.erase(AddressOf(region->data()));
    surplus.splice(surplus.begin(), idle_, std::prev(idle_.end()));
  }
  return surplus;
}

void Arena::GiveUpAll(const std::list<Region>& regions) const {
  for (const Region& region : regions) gone_(region->id());
}

std::optional<Arena::Place> Arena::Find(const void* data, size_t size) const {
  const uintptr_t begin = AddressOf(data);
  const std::lock_guard lock(mutex_);
  auto next = regions_.upper_bound(begin);
  if (next == regions_.begin()) return std::nullopt;
  const auto& [address, entry] = *std::prev(next);
  const uint64_t offset = begin - address;
  if (offset > entry.region->size() || size > entry.region->size() - offset) return std::nullopt;
  return Place{entry.region, offset};
}

void Arena::GiveUp(const uint8_t* buffer) {
  const std::lock_guard lock(mutex_);
  regions_.at(AddressOf(buffer)).give_up = true;
}

bool Arena::Trim() {
  std::list<Region> surplus;
  {
    const std::lock_guard lock(mutex_);
    surplus = Shrink(0);
  }
  GiveUpAll(surplus);
  return !surplus.empty();
}

void Arena::Close() {
  std::list<Region> surplus;
  {
    const std::lock_guard lock(mutex_);
    max_bytes_ = 0;
    surplus = Shrink(0);
  }
  GiveUpAll(surplus);
}

int64_t Arena::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace spikeserve

// Internal: memory that a call needs in passing. What is given back is kept for the next call: a large block from the
// system comes as pages that are not there yet, and to map and clear them takes as long as to compute with them.

#ifndef SPIKESERVE_COMPUTE_SRC_SCRATCH_H_
#define SPIKESERVE_COMPUTE_SRC_SCRATCH_H_

#include <cstddef>
#include <new>
#include <type_traits>
#include <vector>

namespace spikeserve {

// Thread-safe. The process keeps at most kMaxIdleScratchBytes that nobody uses.
inline constexpr size_t kMaxIdleScratchBytes = size_t{64} << 20;
void* TakeScratch(size_t bytes);
void GiveScratch(void* block, size_t bytes) noexcept;
size_t IdleScratchBytes();

// Leaves elements that are not given a value as they are found: they may be anything.
template <typename T>
struct ScratchAllocator {
  static_assert(std::is_trivial_v<T>);
  using value_type = T;

  ScratchAllocator() = default;
  template <typename U>
  ScratchAllocator(const ScratchAllocator<U>&) {}  // NOLINT(google-explicit-constructor)

  T* allocate(size_t count) { return static_cast<T*>(TakeScratch(count * sizeof(T))); }
  void deallocate(T* block, size_t count) noexcept { GiveScratch(block, count * sizeof(T)); }
  template <typename U>
  void construct(U* element) noexcept {
    ::new (static_cast<void*>(element)) U;
  }
  template <typename U, typename... Args>
  void construct(U* element, Args&&... args) {
    ::new (static_cast<void*>(element)) U(static_cast<Args&&>(args)...);
  }
  template <typename U>
  bool operator==(const ScratchAllocator<U>&) const {
    return true;
  }
};

using ScratchFloats = std::vector<float, ScratchAllocator<float>>;

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SCRATCH_H_

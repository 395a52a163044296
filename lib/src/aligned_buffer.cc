#include "aligned_buffer.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace spikeserve {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void* AllocateAligned(size_t bytes) {
  const bool huge = bytes >= 2 * kHugePage;
  const size_t alignment = huge ? kHugePage : kAlignment;
  // aligned_alloc wants whole multiples, and may return null for none.
  const size_t rounded = bytes < alignment ? alignment : (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (huge) madvise(memory, rounded, MADV_HUGEPAGE);  // A hint: where it fails, all works as well.
#endif
  return memory;
}

void FreeAligned(void* memory) { std::free(memory); }

}  // namespace spikeserve

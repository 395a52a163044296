// Internal: memory for vectors, uninitialised.

#ifndef SPIKESERVE_COMPUTE_SRC_ALIGNED_BUFFER_H_
#define SPIKESERVE_COMPUTE_SRC_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace spikeserve {

// `bytes` of memory that begin at a multiple of 64. Where they are many, the operating system is asked for huge pages:
// else the first touch of the pages costs more than what is computed with them. Throws std::bad_alloc.
void* AllocateAligned(size_t bytes);
void FreeAligned(void* memory);

// An array of `size` elements. Movable.
template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivial_v<T>);

 public:
  explicit AlignedBuffer(int64_t size)
      : data_(static_cast<T*>(AllocateAligned(static_cast<size_t>(size) * sizeof(T)))) {}

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* p) const { FreeAligned(p); }
  };
  std::unique_ptr<T[], Free> data_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_ALIGNED_BUFFER_H_

// Vectors at the end of a row, of which not all lanes are there. Included once for each target, after highway.h.

#if defined(SPIKESERVE_COMPUTE_SRC_SIMD_PARTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPIKESERVE_COMPUTE_SRC_SIMD_PARTIAL_INL_H_
#undef SPIKESERVE_COMPUTE_SRC_SIMD_PARTIAL_INL_H_
#else
#define SPIKESERVE_COMPUTE_SRC_SIMD_PARTIAL_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

// Instruction sets without masks in memory go through a buffer.
constexpr bool kMasksMemory = HWY_TARGET <= HWY_AVX2;

// The lanes of a vector that are there: the first `lanes`, or all where there are more.
template <class D>
class Lanes {
  static constexpr int64_t kAll = static_cast<int64_t>(hwy::HWY_NAMESPACE::MaxLanes(D()));

 public:
  HWY_INLINE explicit Lanes(int64_t lanes)
      : count_(lanes < kAll ? lanes : kAll), mask_(hwy::HWY_NAMESPACE::FirstN(D(), static_cast<size_t>(count_))) {}

  // What is beside the lanes is not touched, and is 0 in the vector.
  HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> Load(const float* from) const {
    namespace hn = hwy::HWY_NAMESPACE;
    if (count_ == kAll) return hn::LoadU(D(), from);
    if constexpr (kMasksMemory) {
      return hn::MaskedLoad(mask_, D(), from);
    } else {
      HWY_ALIGN float buffer[kAll] = {};
      std::copy_n(from, count_, buffer);
      return hn::Load(D(), buffer);
    }
  }

  HWY_INLINE void Store(hwy::HWY_NAMESPACE::Vec<D> v, float* to) const {
    namespace hn = hwy::HWY_NAMESPACE;
    if (count_ == kAll) return hn::StoreU(v, D(), to);
    if constexpr (kMasksMemory) {
      hn::BlendedStore(v, mask_, D(), to);
    } else {
      HWY_ALIGN float buffer[kAll];
      hn::Store(v, D(), buffer);
      std::copy_n(buffer, count_, to);
    }
  }

 private:
  int64_t count_;
  hwy::HWY_NAMESPACE::Mask<D> mask_;
};

template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadSome(D d, const float* from, int64_t lanes) {
  if (lanes >= static_cast<int64_t>(hwy::HWY_NAMESPACE::MaxLanes(d))) return hwy::HWY_NAMESPACE::LoadU(d, from);
  return Lanes<D>(lanes).Load(from);
}
template <class D>
HWY_INLINE void StoreSome(D d, hwy::HWY_NAMESPACE::Vec<D> v, float* to, int64_t lanes) {
  if (lanes >= static_cast<int64_t>(hwy::HWY_NAMESPACE::MaxLanes(d))) return hwy::HWY_NAMESPACE::StoreU(v, d, to);
  Lanes<D>(lanes).Store(v, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_PARTIAL_INL_H_

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

// Loads or stores the first `lanes` elements of a vector, or all where there are more, and touches none beside them.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadSome(D d, const float* from, int64_t lanes) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (lanes >= static_cast<int64_t>(hn::MaxLanes(d))) return hn::LoadU(d, from);
  if constexpr (kMasksMemory) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(lanes)), d, from);
  } else {
    HWY_ALIGN float buffer[hn::MaxLanes(d)] = {};
    std::copy_n(from, lanes, buffer);
    return hn::Load(d, buffer);
  }
}

template <class D>
HWY_INLINE void StoreSome(D d, hwy::HWY_NAMESPACE::Vec<D> v, float* to, int64_t lanes) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (lanes >= static_cast<int64_t>(hn::MaxLanes(d))) return hn::StoreU(v, d, to);
  if constexpr (kMasksMemory) {
    hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(lanes)), d, to);
  } else {
    HWY_ALIGN float buffer[hn::MaxLanes(d)];
    hn::Store(v, d, buffer);
    std::copy_n(buffer, lanes, to);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_PARTIAL_INL_H_

#include "simd/redundant_one_hot_kernel.h"

#include <cstring>

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/redundant_one_hot_kernel.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Writes the result as a sequence of aligned vectors, without regard to where rows begin: the vector at position `at`
// is the union of the windows of all rows that it touches, each of which is zero outside of its row.
template <bool kStream>
HWY_INLINE bool WriteRows(const OneHotCode& code, const int64_t* labels, int64_t rows, uint8_t* out) {
  const hn::ScalableTag<uint8_t> d;
  const int64_t width = static_cast<int64_t>(hn::Lanes(d));
  static_assert(hn::MaxLanes(d) <= OneHotCode::kMargin);
  const int64_t size = rows * code.row_bytes;
  const auto put = [&](hn::Vec<decltype(d)> v, int64_t at) HWY_ATTR {
    if (HWY_LIKELY(at >= 0 && at + width <= size)) {
      if constexpr (kStream) {
        hn::Stream(v, d, out + at);
      } else {
        hn::StoreU(v, d, out + at);
      }
    } else {  // Reaches beyond the result.
      HWY_ALIGN uint8_t bytes[hn::MaxLanes(d)];
      hn::Store(v, d, bytes);
      const int64_t begin = HWY_MAX(at, int64_t{0});
      const int64_t end = HWY_MIN(at + width, size);
      if (begin < end) std::memcpy(out + begin, bytes + (begin - at), static_cast<size_t>(end - begin));
    }
  };

  bool all_valid = true;
  int64_t at = -(reinterpret_cast<intptr_t>(out) % width);
  auto v = hn::Zero(d);
  for (int64_t r = 0; r < rows; ++r) {
    const bool valid = static_cast<uint64_t>(labels[r]) < static_cast<uint64_t>(code.num_classes);
    all_valid &= valid;
    const int64_t first_bit = valid ? labels[r] * code.class_bits : 0;
    const uint8_t* row = code.patterns[first_bit % 8] - first_bit / 8;
    const int64_t row_begin = r * code.row_bytes;
    const int64_t row_end = row_begin + code.row_bytes;
    v = hn::Or(v, hn::LoadU(d, row + (at - row_begin)));
    while (at + width <= row_end) {
      put(v, at);
      at += width;
      v = hn::LoadU(d, row + (at - row_begin));
    }
  }
  put(v, at);
  return all_valid;
}

bool WriteRowsOrStream(const OneHotCode& code, const int64_t* labels, int64_t rows, bool stream, uint8_t* out) {
  if (!stream) return WriteRows<false>(code, labels, rows, out);
  const bool all_valid = WriteRows<true>(code, labels, rows, out);
  hwy::FlushStream();
  return all_valid;
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(WriteRowsOrStream);

bool WriteOneHotRows(const OneHotCode& code, const int64_t* labels, int64_t rows, bool stream, uint8_t* out) {
  return HWY_DYNAMIC_DISPATCH(WriteRowsOrStream)(code, labels, rows, stream, out);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

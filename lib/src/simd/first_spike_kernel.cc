#include "simd/first_spike_kernel.h"

#include <cstring>

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/first_spike_kernel.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// `a` where the condition holds, else `b`. Never a branch: the spikes decide, and no processor foresees those.
HWY_INLINE int64_t Select(bool condition, int64_t a, int64_t b) {
  const int64_t mask = -static_cast<int64_t>(condition);
  return (a & mask) | (b & ~mask);
}

// The place of the lowest bit; anything for 0.
HWY_INLINE int64_t LowestBit(uint64_t word) {
  return static_cast<int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(word | uint64_t{1} << 63));
}

// Which bytes of a vector are not zero, the first in the lowest bit.
template <class D, class V = hn::Vec<D>>
HWY_INLINE uint64_t NonZero(D d, V v) {
  static_assert(hn::MaxLanes(d) <= 64);
  uint64_t bits = 0;
  hn::StoreMaskBits(d, hn::Ne(v, hn::Zero(d)), reinterpret_cast<uint8_t*>(&bits));
  return bits;
}

// Calls found(r, row, first) for each row, `first` its first byte that is not 0, or -1. Returns the union of all bytes
// that were read; these are all of the rows if kReadAll.
template <bool kReadAll, class D, class Found>
HWY_INLINE hn::Vec<D> FindFirst(D d, const ByteRows& spikes, int64_t begin, int64_t end, const Found& found) {
  // In rows of more vectors, to stop at the first spike is worth a branch that cannot be foreseen.
  constexpr int64_t kMaxVectorsWithoutStop = 4;
  const int64_t width = static_cast<int64_t>(hn::Lanes(d));
  auto any = hn::Zero(d);
  int64_t first = -1;
  const auto look_at = [&](hn::Vec<D> v, int64_t at) HWY_ATTR {
    any = hn::Or(any, v);
    const uint64_t ones = NonZero(d, v);
    first = Select(ones != 0, at + LowestBit(ones), first);
  };

  if (spikes.row_bytes < width) {
    const auto in_row = hn::FirstN(d, static_cast<size_t>(spikes.row_bytes));
    const uint8_t* data_end = spikes.data + (spikes.rows - 1) * spikes.stride + spikes.row_bytes;
    HWY_ALIGN uint8_t last_row[hn::MaxLanes(d)];
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t* row = spikes.data + r * spikes.stride;
      const uint8_t* readable = row;
      if (HWY_UNLIKELY(data_end - row < width)) {  // A vector would reach beyond the data.
        std::memcpy(last_row, row, static_cast<size_t>(spikes.row_bytes));
        readable = last_row;
      }
      first = -1;
      look_at(hn::IfThenElseZero(in_row, hn::LoadU(d, readable)), 0);
      found(r, row, first);
    }
    return any;
  }

  const int64_t last = spikes.row_bytes - width;  // Where the last vector begins, which may overlap the one before.
  for (int64_t r = begin; r < end; ++r) {
    const uint8_t* row = spikes.data + r * spikes.stride;
    first = -1;
    if (kReadAll || spikes.row_bytes <= kMaxVectorsWithoutStop * width) {
      // From the last vector to the first, so that what is found earlier in the row replaces what is found later.
      look_at(hn::LoadU(d, row + last), last);
      for (int64_t at = (spikes.row_bytes - 1) / width * width - width; at >= 0; at -= width) {
        look_at(hn::LoadU(d, row + at), at);
      }
    } else {
      int64_t at = 0;
      while (at < last && hn::AllTrue(d, hn::Eq(hn::LoadU(d, row + at), hn::Zero(d)))) at += width;
      at = HWY_MIN(at, last);
      look_at(hn::LoadU(d, row + at), at);
    }
    found(r, row, first);
  }
  return any;
}

bool FirstBytes(const ByteRows& spikes, int64_t begin, int64_t end, int32_t* index) {
  const hn::ScalableTag<uint8_t> d;
  const auto found = [&](int64_t r, const uint8_t* /*row*/, int64_t first) { index[r] = static_cast<int32_t>(first); };
  const auto any = FindFirst</*kReadAll=*/true>(d, spikes, begin, end, found);
  return hn::AllFalse(d, hn::Gt(any, hn::Set(d, 1)));
}

// The `bytes` <= 8 bytes as a number, the first lowest; anything in the higher bits. Reads 8 if they are before `end`.
HWY_INLINE uint64_t LoadWord(const uint8_t* from, int64_t bytes, const uint8_t* end) {
  uint64_t word = 0;
  if (HWY_LIKELY(end - from >= 8)) {
    std::memcpy(&word, from, 8);
  } else {
    std::memcpy(&word, from, static_cast<size_t>(bytes));
  }
  return word;
}

// FirstBits of rows of at most kWords <= 2 words.
template <int kWords>
HWY_INLINE void FirstBitsOfWords(const ByteRows& spikes, int64_t bits, int64_t begin, int64_t end, int32_t* index) {
  const uint8_t* data_end = spikes.data + (spikes.rows - 1) * spikes.stride + spikes.row_bytes;
  constexpr int64_t kBefore = 64 * (kWords - 1);  // Bits before those of the last word.
  const uint64_t in_row = ~uint64_t{0} >> (63 - (bits - 1) % 64);
  for (int64_t r = begin; r < end; ++r) {
    const uint8_t* row = spikes.data + r * spikes.stride;
    const uint64_t last = LoadWord(row + kBefore / 8, spikes.row_bytes - kBefore / 8, data_end) & in_row;
    int64_t bit = Select(last != 0, kBefore + LowestBit(last), -1);
    if constexpr (kWords == 2) {
      const uint64_t first = LoadWord(row, 8, data_end);
      bit = Select(first != 0, LowestBit(first), bit);
    }
    index[r] = static_cast<int32_t>(bit);
  }
}

void FirstBits(const ByteRows& spikes, int64_t bits, int64_t begin, int64_t end, int32_t* index) {
  if (bits <= 64) return FirstBitsOfWords<1>(spikes, bits, begin, end, index);
  if (bits <= 128) return FirstBitsOfWords<2>(spikes, bits, begin, end, index);
  const hn::ScalableTag<uint8_t> d;
  const auto found = [&](int64_t r, const uint8_t* row, int64_t first) {
    const bool any = first >= 0;
    const int64_t bit = 8 * first + LowestBit(row[Select(any, first, 0)]);
    index[r] = static_cast<int32_t>(Select(any & (bit < bits), bit, -1));
  };
  FindFirst</*kReadAll=*/false>(d, spikes, begin, end, found);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(FirstBytes);
HWY_EXPORT(FirstBits);

bool FindFirstBytes(const ByteRows& spikes, int64_t begin, int64_t end, int32_t* index) {
  return HWY_DYNAMIC_DISPATCH(FirstBytes)(spikes, begin, end, index);
}

void FindFirstBits(const ByteRows& spikes, int64_t bits, int64_t begin, int64_t end, int32_t* index) {
  HWY_DYNAMIC_DISPATCH(FirstBits)(spikes, bits, begin, end, index);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

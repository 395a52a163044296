#include "simd/bit_packing.h"

#include <algorithm>
#include <cstring>

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/bit_packing.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// After those.
#include "simd/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The elements of a word, and of the pieces after which other values are looked for.
constexpr int64_t kWord = 64;
constexpr int64_t kPiece = 16 * kWord;

template <typename T>
bool PackPiece(const T* elements, int64_t count, uint8_t* bits) {
  const hn::CappedTag<T, kWord> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto zero = hn::Zero(d);
  const auto one = hn::Set(d, T{1});
  auto valid = hn::Eq(zero, zero);
  int64_t i = 0;
  for (; i + kWord <= count; i += kWord) {
    uint64_t word = 0;
    for (int64_t lane = 0; lane < kWord; lane += lanes) {
      const auto v = hn::LoadU(d, elements + i + lane);
      const auto ones = hn::Eq(v, one);
      valid = hn::And(valid, hn::Or(ones, hn::Eq(v, zero)));
      uint64_t mask = 0;
      hn::StoreMaskBits(d, ones, reinterpret_cast<uint8_t*>(&mask));
      word |= mask << lane;
    }
    std::memcpy(bits + i / 8, &word, sizeof(word));
  }
  bool all = hn::AllTrue(d, valid);
  for (; i < count; i += 8) {
    uint8_t byte = 0;
    for (int64_t bit = 0; bit < std::min<int64_t>(8, count - i); ++bit) {
      const T v = elements[i + bit];
      byte |= static_cast<uint8_t>((v == T{1}) << bit);
      all = all && (v == T{1} || v == T{0});
    }
    bits[i / 8] = byte;
  }
  return all;
}

template <typename T>
bool PackRow(const T* elements, int64_t count, uint8_t* bits) {
  for (int64_t i = 0; i < count; i += kPiece) {
    if (!PackPiece(elements + i, std::min(kPiece, count - i), bits + i / 8)) return false;
  }
  return true;
}

bool PackBytes(const uint8_t* elements, int64_t count, uint8_t* bits) { return PackRow(elements, count, bits); }
bool PackFloats(const float* elements, int64_t count, uint8_t* bits) { return PackRow(elements, count, bits); }
bool PackDoubles(const double* elements, int64_t count, uint8_t* bits) { return PackRow(elements, count, bits); }

void UnpackFloats(const uint8_t* bits, int64_t count, float* elements) {
  using Float = hn::CappedTag<float, 16>;
  const Float d;
  const hn::RebindToUnsigned<Float> du;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(Float()));
  const auto lane_bit = hn::Shl(hn::Set(du, 1), hn::Iota(du, 0));
  const auto one = hn::Set(d, 1.0f);
  const auto unpack = [&](int64_t i, int64_t bytes) HWY_ATTR {
    uint16_t word = 0;
    std::memcpy(&word, bits + i / 8, static_cast<size_t>(bytes));
    return hn::IfThenElseZero(hn::RebindMask(d, hn::TestBit(hn::Set(du, word >> i % 8), lane_bit)), one);
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(unpack(i, (kLanes + 7) / 8), d, elements + i);
  if (i < count) StoreSome(d, unpack(i, (count - i + 7) / 8), elements + i, count - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(PackBytes);
HWY_EXPORT(PackFloats);
HWY_EXPORT(PackDoubles);
HWY_EXPORT(UnpackFloats);

bool PackBits(const uint8_t* elements, int64_t count, uint8_t* bits) {
  return HWY_DYNAMIC_DISPATCH(PackBytes)(elements, count, bits);
}
bool PackBits(const float* elements, int64_t count, uint8_t* bits) {
  return HWY_DYNAMIC_DISPATCH(PackFloats)(elements, count, bits);
}
bool PackBits(const double* elements, int64_t count, uint8_t* bits) {
  return HWY_DYNAMIC_DISPATCH(PackDoubles)(elements, count, bits);
}

void UnpackBits(const uint8_t* bits, int64_t count, float* elements) {
  HWY_DYNAMIC_DISPATCH(UnpackFloats)(bits, count, elements);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

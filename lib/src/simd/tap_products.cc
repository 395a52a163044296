#include "simd/tap_products.h"

#include <algorithm>

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/tap_products.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "simd/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::CappedTag<float, static_cast<size_t>(kTapLanes)>;
constexpr int64_t kVectorLanes = static_cast<int64_t>(hn::MaxLanes(Float()));

// The elements of a piece of a plane's row that are not 0, with their columns in the piece.
constexpr int64_t kPiece = 256;
struct Events {
  int64_t count;
  int32_t column[kPiece];
  float value[kPiece];
};

// Of vectors that are full but for the last, which has `last_lanes`.
template <int kVectors>
HWY_INLINE void AddRow(float x, const float* HWY_RESTRICT from, float* HWY_RESTRICT to,
                       const Lanes<Float>& last_lanes) {
  const Float d;
  const auto factor = hn::Set(d, x);
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) {
    const float* lanes = from + v * kVectorLanes;
    const auto row = v + 1 < kVectors ? hn::LoadU(d, lanes) : last_lanes.Load(lanes);
    hn::StoreU(hn::Add(hn::LoadU(d, to + v * kVectorLanes), hn::Mul(factor, row)), d, to + v * kVectorLanes);
  }
}

// `columns` are those of the piece.
template <int kVectors>
HWY_INLINE void AddEvents(const Events& events, const TapRun& row, Tap row_step, const TapRun* columns, Tap step,
                          const float* from, float* to, const Lanes<Float>& last_lanes) {
  from += row.first.from;
  to += row.first.to;
  for (int64_t e = 0; e < events.count; ++e) {
    const TapRun run = columns[events.column[e]];
    const float value = events.value[e];
    const float* row_from = from + run.first.from;
    float* row_to = to + run.first.to;
    for (int64_t r = 0; r < row.count; ++r, row_from += row_step.from, row_to += row_step.to) {
      for (int64_t c = 0; c < run.count; ++c) {
        AddRow<kVectors>(value, row_from + c * step.from, row_to + c * step.to, last_lanes);
      }
    }
  }
}

void AllTapProducts(const float* plane, int64_t plane_stride, const AxisTaps& rows, const AxisTaps& columns,
                    const float* from, float* to, int64_t size) {
  constexpr int64_t kMostVectors = 4;
  Events events;
  for (int64_t y = 0; y < rows.count; ++y) {
    const float* elements = plane + y * plane_stride;
    if (rows.runs[y].count == 0) continue;
    for (int64_t begin = 0; begin < columns.count; begin += kPiece) {
      const int64_t count = std::min(columns.count - begin, kPiece);
      events.count = 0;
      for (int64_t z = 0; z < count; ++z) {
        events.column[events.count] = static_cast<int32_t>(z);
        events.value[events.count] = elements[begin + z];
        events.count += elements[begin + z] != 0;
      }
      if (events.count == 0) continue;
      for (int64_t n = 0; n < size; n += kMostVectors * kVectorLanes) {
        const int64_t lanes = std::min(size - n, kMostVectors * kVectorLanes);
        const int64_t vectors = (lanes + kVectorLanes - 1) / kVectorLanes;
        const Lanes<Float> last_lanes(lanes - (vectors - 1) * kVectorLanes);
        const auto add = [&]<int kVectors>() HWY_ATTR {
          AddEvents<kVectors>(events, rows.runs[y], rows.step, columns.runs + begin, columns.step, from + n, to + n,
                              last_lanes);
        };
        if (vectors == 1) {
          add.template operator()<1>();
        } else if (vectors == 2) {
          add.template operator()<2>();
        } else if (vectors == 3) {
          add.template operator()<3>();
        } else {
          add.template operator()<4>();
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AllTapProducts);

void AddTapProducts(const float* plane, int64_t plane_stride, const AxisTaps& rows, const AxisTaps& columns,
                    const float* from, float* to, int64_t size) {
  HWY_DYNAMIC_DISPATCH(AllTapProducts)(plane, plane_stride, rows, columns, from, to, size);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

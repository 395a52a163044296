#include "simd/subset_sums.h"

#include <algorithm>

#include "aligned_buffer.h"
#include "simd/targets.h"
#include "stop_check.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/subset_sums.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Tag = hn::CappedTag<T, static_cast<size_t>(Panels<T>::kLanes)>;
template <typename T>
constexpr int kVectors = static_cast<int>(Panels<T>::kLanes) / static_cast<int>(hn::MaxLanes(Tag<T>()));

constexpr int kGroupBits = 6;
constexpr int kSubsets = 1 << kGroupBits;
constexpr int kGroups = static_cast<int>(BitBlocks::kDepth) / kGroupBits;
static_assert(kGroups * kGroupBits == BitBlocks::kDepth);
// Blocks whose sums are added up before those of other runs are.
constexpr int64_t kRunBlocks = 16;
// Rows whose sums take as long as the tables of a block.
constexpr int64_t kRowsOfTables = 64;
// Rows whose sums are in registers at a time.
constexpr int kUnrolled = HWY_TARGET <= HWY_AVX3 ? 8 : HWY_TARGET == HWY_AVX2 ? 4 : 2;
static_assert(kSubsetRows % kUnrolled == 0);

// The sums of all subsets of six rows of y: 64 bytes for each subset, 24 KB for a block.
template <typename T>
struct Tables {
  static constexpr int64_t kLanes = Panels<T>::kLanes;

  // `depth` rows of y, <= BitBlocks::kDepth.
  HWY_INLINE void Fill(const T* HWY_RESTRICT y, int64_t depth) {
    const Tag<T> d;
    for (int g = 0; g < kGroups; ++g) {
      for (int64_t lane = 0; lane < kLanes; lane += hn::MaxLanes(d)) {
        hn::Store(hn::Zero(d), d, sums[g][0] + lane);
        for (int bit = 0; bit < kGroupBits; ++bit) {
          const int64_t k = g * kGroupBits + bit;
          const auto row = k < depth ? hn::Load(d, y + k * kLanes + lane) : hn::Zero(d);
          for (int subset = 0; subset < 1 << bit; ++subset) {
            hn::Store(hn::Add(hn::Load(d, sums[g][subset] + lane), row), d, sums[g][subset + (1 << bit)] + lane);
          }
        }
      }
    }
  }

  alignas(64) T sums[kGroups][kSubsets][kLanes];
};

// Adds the sums of a block to `from`, or to zeros where it is null, and writes the results to `to`, or adds them there.
template <bool kAddTo, typename T>
HWY_INLINE void AddBlock(const Tables<T>& tables, const uint64_t* HWY_RESTRICT words, int64_t rows, const T* from,
                         T* to) {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  constexpr int64_t kVectorLanes = hn::MaxLanes(Tag<T>());
  const Tag<T> d;
  for (int64_t r = 0; r < rows; r += kUnrolled) {
    hn::Vec<Tag<T>> sums[kUnrolled][kVectors<T>];
    HWY_UNROLL(8)
    for (int i = 0; i < kUnrolled; ++i) {
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors<T>; ++v) {
        sums[i][v] = from == nullptr ? hn::Zero(d) : hn::Load(d, from + (r + i) * kLanes + v * kVectorLanes);
      }
    }
    HWY_UNROLL(8)
    for (int g = 0; g < kGroups; ++g) {
      HWY_UNROLL(8)
      for (int i = 0; i < kUnrolled; ++i) {
        const uint64_t subset = words[r + i] >> (g * kGroupBits) & (kSubsets - 1);
        HWY_UNROLL(16)
        for (int v = 0; v < kVectors<T>; ++v) {
          sums[i][v] = hn::Add(sums[i][v], hn::Load(d, tables.sums[g][subset] + v * kVectorLanes));
        }
      }
    }
    HWY_UNROLL(8)
    for (int i = 0; i < kUnrolled; ++i) {
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors<T>; ++v) {
        T* result = to + (r + i) * kLanes + v * kVectorLanes;
        hn::Store(kAddTo ? hn::Add(hn::Load(d, result), sums[i][v]) : sums[i][v], d, result);
      }
    }
  }
}

template <typename T>
HWY_INLINE bool AllSubsetSums(const BitBlocks& x, RowRange rows, const T* y, T* sums, Executor& executor) {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  const int64_t count = (rows.count + kSubsetRows - 1) / kSubsetRows * kSubsetRows;
  if (x.count() == 0) std::fill_n(sums, count * kLanes, T{0});
  Tables<T> tables;
  // The run's sums, where there is more than one run.
  AlignedBuffer<T> run(x.count() > kRunBlocks ? count * kLanes : 0);
  // A sum of a subset takes as long as a quarter of the multiplications that it stands for; a table as those of some
  // rows.
  const double cost = static_cast<double>((count + kRowsOfTables) * BitBlocks::kDepth * kLanes) / 4;
  StopCheck stop(executor);
  for (int64_t b = 0; b < x.count(); ++b) {
    if (b > 0 && stop.After(cost)) return false;
    tables.Fill(y + b * BitBlocks::kDepth * kLanes, std::min(BitBlocks::kDepth, x.depth() - b * BitBlocks::kDepth));
    const uint64_t* words = x.block(b) + rows.begin;
    T* run_sums = b < kRunBlocks ? sums : run.data();
    const T* from = b % kRunBlocks == 0 ? nullptr : run_sums;
    const bool run_ends = b % kRunBlocks == kRunBlocks - 1 || b == x.count() - 1;
    if (run_ends && b >= kRunBlocks) {
      AddBlock<true>(tables, words, count, from, sums);
    } else {
      AddBlock<false>(tables, words, count, from, run_sums);
    }
  }
  return true;
}

bool FloatSubsetSums(const BitBlocks& x, RowRange rows, const float* y, float* sums, Executor& executor) {
  return AllSubsetSums(x, rows, y, sums, executor);
}
bool DoubleSubsetSums(const BitBlocks& x, RowRange rows, const double* y, double* sums, Executor& executor) {
  return AllSubsetSums(x, rows, y, sums, executor);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(FloatSubsetSums);
HWY_EXPORT(DoubleSubsetSums);

bool SubsetSums(const BitBlocks& x, RowRange rows, const float* y, float* sums, Executor& executor) {
  return HWY_DYNAMIC_DISPATCH(FloatSubsetSums)(x, rows, y, sums, executor);
}
bool SubsetSums(const BitBlocks& x, RowRange rows, const double* y, double* sums, Executor& executor) {
  return HWY_DYNAMIC_DISPATCH(DoubleSubsetSums)(x, rows, y, sums, executor);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

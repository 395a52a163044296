#include "simd/panel_product.h"

#include <algorithm>
#include <type_traits>

#include "simd/targets.h"
#include "stop_check.h"
#include "tile_grid.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/panel_product.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A vector of a panel's lanes, and how many of them make 64 bytes.
template <typename T>
using Tag = hn::CappedTag<T, static_cast<size_t>(Panels<T>::kLanes)>;
template <typename T>
constexpr int kVectors = static_cast<int>(Panels<T>::kLanes) / static_cast<int>(hn::MaxLanes(Tag<T>()));

// The block of sums that is kept in registers: kBlockRows rows of x, fewer at the end of a panel, by kBlockPanels
// panels of y. Each step of depth takes a load for each of them, and rows * panels multiplications.
#if HWY_TARGET <= HWY_AVX3
template <typename T>
constexpr int kBlockRows = 8;
constexpr int kBlockPanels = 3;
#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
template <typename T>
constexpr int kBlockRows = std::is_same_v<T, float> ? 6 : 4;
constexpr int kBlockPanels = 1;
#else
template <typename T>
constexpr int kBlockRows = 2;
constexpr int kBlockPanels = 1;
#endif

// Whether there is an instruction that counts the bits of words, or vectors have a single word.
constexpr bool kCountsWords = HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_SCALAR;

// The steps after which sums go to the tile; for bits so few that, where bytes are counted, a byte holds a count.
template <typename T>
constexpr int64_t kRun = kFloatRun;
template <>
inline constexpr int64_t kRun<uint64_t> = 248;

template <typename T>
HWY_INLINE hn::Vec<Tag<T>> AddProduct(hn::Vec<Tag<T>> sum, hn::Vec<Tag<T>> x, hn::Vec<Tag<T>> y) {
  if constexpr (std::is_same_v<T, uint64_t>) {
    return hn::Add(sum, hn::PopulationCount(hn::And(x, y)));
  } else {
    return hn::MulAdd(x, y, sum);
  }
}

// Adds a vector of sums to the tile.
HWY_INLINE void AddSums(hn::Vec<Tag<float>> sums, double* tile) {
#if HWY_TARGET == HWY_SCALAR
  tile[0] += hn::GetLane(sums);
#else
  const hn::Half<Tag<float>> d_float;
  const hn::Rebind<double, decltype(d_float)> d;
  const auto low = hn::PromoteTo(d, hn::LowerHalf(d_float, sums));
  const auto high = hn::PromoteTo(d, hn::UpperHalf(d_float, sums));
  hn::StoreU(hn::Add(hn::LoadU(d, tile), low), d, tile);
  hn::StoreU(hn::Add(hn::LoadU(d, tile + hn::Lanes(d)), high), d, tile + hn::Lanes(d));
#endif
}
HWY_INLINE void AddSums(hn::Vec<Tag<double>> sums, double* tile) {
  const Tag<double> d;
  hn::StoreU(hn::Add(hn::LoadU(d, tile), sums), d, tile);
}
HWY_INLINE void AddSums(hn::Vec<Tag<uint64_t>> sums, int32_t* tile) {
  const hn::Rebind<uint32_t, Tag<uint64_t>> d_unsigned;
  const hn::RebindToSigned<decltype(d_unsigned)> d;
  hn::StoreU(hn::Add(hn::LoadU(d, tile), hn::BitCast(d, hn::TruncateTo(d_unsigned, sums))), d, tile);
}

// Adds the products of kRows rows and kPanels panels over some steps. `x` is at the first row and step; so is `y`,
// whose panels are `panel_size` apart.
template <int kRows, int kPanels, typename T, typename Sum>
void AddBlock(const T* HWY_RESTRICT x, const T* HWY_RESTRICT y, int64_t panel_size, int64_t depth,
              Sum* HWY_RESTRICT tile, int64_t stride) {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  constexpr int kColumns = kPanels * kVectors<T>;
  const Tag<T> d;
  hn::Vec<Tag<T>> sums[kRows][kColumns];
  HWY_UNROLL(16)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (int c = 0; c < kColumns; ++c) sums[r][c] = hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k) {
    hn::Vec<Tag<T>> ys[kColumns];
    HWY_UNROLL(16)
    for (int c = 0; c < kColumns; ++c) {
      ys[c] = hn::Load(d, y + c / kVectors<T> * panel_size + k * kLanes + c % kVectors<T> * hn::MaxLanes(d));
    }
    HWY_UNROLL(16)
    for (int r = 0; r < kRows; ++r) {
      const auto xs = hn::Set(d, x[k * kLanes + r]);
      HWY_UNROLL(16)
      for (int c = 0; c < kColumns; ++c) sums[r][c] = AddProduct<T>(sums[r][c], xs, ys[c]);
    }
  }
  HWY_UNROLL(16)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (int c = 0; c < kColumns; ++c) AddSums(sums[r][c], tile + r * stride + c * hn::MaxLanes(d));
  }
}

#if HWY_TARGET != HWY_SCALAR
// The bits of a, b and c, added: the sum's low bits go to c, the high ones to the result.
template <class V>
HWY_INLINE V AddThree(V a, V b, V& c) {
  const V differ = hn::Xor(a, b);
  const V high = hn::OrAnd(hn::And(a, b), differ, c);
  c = hn::Xor(differ, c);
  return high;
}

// The numbers of bits that the row at `x` has in common with each of a vector of rows at `y`, where bits are counted by
// looking up half bytes: only an eighth of the words is counted, after they were added up bit by bit.
HWY_INLINE hn::Vec<Tag<uint64_t>> CommonBits(const uint64_t* HWY_RESTRICT x, const uint64_t* HWY_RESTRICT y,
                                             int64_t depth) {
  constexpr int64_t kLanes = Panels<uint64_t>::kLanes;
  const Tag<uint64_t> d;
  const hn::Repartition<uint8_t, Tag<uint64_t>> d_bytes;
  const auto common = [&](int64_t k)
                          HWY_ATTR { return hn::And(hn::Set(d, x[k * kLanes]), hn::Load(d, y + k * kLanes)); };
  auto ones = hn::Zero(d);
  auto twos = hn::Zero(d);
  auto fours = hn::Zero(d);
  auto eights = hn::Zero(d_bytes);  // How many of each byte.
  int64_t k = 0;
  for (; k + 8 <= depth; k += 8) {
    const auto twos_a = AddThree(common(k), common(k + 1), ones);
    const auto twos_b = AddThree(common(k + 2), common(k + 3), ones);
    const auto fours_a = AddThree(twos_a, twos_b, twos);
    const auto twos_c = AddThree(common(k + 4), common(k + 5), ones);
    const auto twos_d = AddThree(common(k + 6), common(k + 7), ones);
    const auto fours_b = AddThree(twos_c, twos_d, twos);
    const auto eight = AddThree(fours_a, fours_b, fours);
    eights = hn::Add(eights, hn::PopulationCount(hn::BitCast(d_bytes, eight)));
  }
  auto counts = hn::Add(hn::ShiftLeft<3>(hn::SumsOf8(eights)), hn::ShiftLeft<2>(hn::PopulationCount(fours)));
  counts = hn::Add(counts, hn::Add(hn::ShiftLeft<1>(hn::PopulationCount(twos)), hn::PopulationCount(ones)));
  for (; k < depth; ++k) counts = hn::Add(counts, hn::PopulationCount(common(k)));
  return counts;
}

// As AddBlock, with CommonBits.
template <int kRows, int kPanels>
void AddBitBlock(const uint64_t* HWY_RESTRICT x, const uint64_t* HWY_RESTRICT y, int64_t panel_size, int64_t depth,
                 int32_t* HWY_RESTRICT tile, int64_t stride) {
  constexpr int64_t kLanes = Panels<uint64_t>::kLanes;
  const Tag<uint64_t> d;
  for (int p = 0; p < kPanels; ++p) {
    for (int r = 0; r < kRows; ++r) {
      for (int64_t lane = 0; lane < kLanes; lane += hn::MaxLanes(d)) {
        AddSums(CommonBits(x + r, y + p * panel_size + lane, depth), tile + r * stride + p * kLanes + lane);
      }
    }
  }
}
#endif  // HWY_TARGET != HWY_SCALAR

// As AddBlock, for any number of panels <= kBlockPanels.
template <int kRows, typename T, typename Sum>
HWY_INLINE void AddRows(const T* x, const T* y, int64_t panels, int64_t panel_size, int64_t depth, Sum* tile,
                        int64_t stride) {
  const auto add = [&](auto constant) HWY_ATTR {
    constexpr int kPanels = decltype(constant)::value;
#if HWY_TARGET != HWY_SCALAR
    if constexpr (std::is_same_v<T, uint64_t> && !kCountsWords) {
      return AddBitBlock<kRows, kPanels>(x, y, panel_size, depth, tile, stride);
    }
#endif
    AddBlock<kRows, kPanels>(x, y, panel_size, depth, tile, stride);
  };
  switch (panels) {
    case 1:
      return add(std::integral_constant<int, 1>());
    case 2:
      return add(std::integral_constant<int, std::min(2, kBlockPanels)>());
    default:
      return add(std::integral_constant<int, kBlockPanels>());
  }
}

template <typename T, typename Sum>
HWY_INLINE bool AddProducts(const Panels<T>& x, RowRange rows, const Panels<T>& y, RowRange cols, Sum* tile,
                            int64_t stride, Executor& executor) {
  constexpr int64_t kLanes = Panels<T>::kLanes;
  constexpr int kLastRows = static_cast<int>(kLanes) % kBlockRows<T>;
  const int64_t panel_size = y.depth() * kLanes;
  const int64_t panels = (cols.count + kLanes - 1) / kLanes;
  const double cost = static_cast<double>(rows.count * panels * kLanes * kRun<T>);
  StopCheck stop(executor);
  for (int64_t k = 0; k < x.depth(); k += kRun<T>) {
    if (k > 0 && stop.After(cost)) return false;
    const int64_t depth = std::min(kRun<T>, x.depth() - k);
    // The panels of y stay in the first-level cache, while the rows of x go by.
    for (int64_t p = 0; p < panels; p += kBlockPanels) {
      const T* panel = y.panel(cols.begin / kLanes + p) + k * kLanes;
      const int64_t count = std::min<int64_t>(kBlockPanels, panels - p);
      for (int64_t r = 0; r < rows.count;) {
        const int64_t lane = r % kLanes;
        const T* row = x.panel((rows.begin + r) / kLanes) + k * kLanes + lane;
        Sum* block = tile + r * stride + p * kLanes;
        if (lane + kBlockRows<T> <= kLanes) {
          AddRows<kBlockRows<T>>(row, panel, count, panel_size, depth, block, stride);
          r += kBlockRows<T>;
        } else if constexpr (kLastRows > 0) {
          AddRows<kLastRows>(row, panel, count, panel_size, depth, block, stride);
          r += kLastRows;
        }
      }
    }
  }
  return true;
}

// Takes the elements at `from` to what is squared and summed: doubles, or words.
HWY_INLINE hn::Vec<Tag<double>> LoadForNorm(const float* from) {
  return hn::PromoteTo(Tag<double>(), hn::LoadU(hn::Rebind<float, Tag<double>>(), from));
}
HWY_INLINE hn::Vec<Tag<double>> LoadForNorm(const double* from) { return hn::LoadU(Tag<double>(), from); }
HWY_INLINE hn::Vec<Tag<uint64_t>> LoadForNorm(const uint64_t* from) { return hn::LoadU(Tag<uint64_t>(), from); }

HWY_INLINE hn::Vec<Tag<double>> Square(hn::Vec<Tag<double>> v) { return hn::Mul(v, v); }
HWY_INLINE hn::Vec<Tag<uint64_t>> Square(hn::Vec<Tag<uint64_t>> v) { return hn::PopulationCount(v); }

// Of the panels begin ... end - 1.
template <typename T, typename Sum>
HWY_INLINE void AddNorms(const Panels<T>& panels, int64_t begin, int64_t end, Sum* norms, Executor& executor) {
  using Element = std::conditional_t<std::is_same_v<T, float>, double, T>;
  constexpr int64_t kLanes = Panels<T>::kLanes;
  constexpr int64_t kPiece = kElementsPerCheck / kLanes;
  const Tag<Element> d;
  HWY_ALIGN Element lanes[kLanes];
  for (int64_t p = begin; p < end; ++p) {
    for (int64_t lane = 0; lane < kLanes; lane += hn::MaxLanes(d)) {
      const T* elements = panels.panel(p) + lane;
      auto sum = hn::Zero(d);
      for (int64_t piece = 0; piece < panels.depth(); piece += kPiece) {
        if (piece > 0 && executor.Stopped()) break;
        const int64_t piece_end = std::min(piece + kPiece, panels.depth());
        for (int64_t k = piece; k < piece_end; ++k) sum = hn::Add(sum, Square(LoadForNorm(elements + k * kLanes)));
      }
      hn::Store(sum, d, lanes + lane);
    }
    const int64_t count = std::min(kLanes, panels.rows() - p * kLanes);
    for (int64_t lane = 0; lane < count; ++lane) norms[p * kLanes + lane] += static_cast<Sum>(lanes[lane]);
  }
}

void AddFloatNorms(const Panels<float>& panels, int64_t begin, int64_t end, double* norms, Executor& executor) {
  AddNorms(panels, begin, end, norms, executor);
}
void AddDoubleNorms(const Panels<double>& panels, int64_t begin, int64_t end, double* norms, Executor& executor) {
  AddNorms(panels, begin, end, norms, executor);
}
void AddBitNorms(const Panels<uint64_t>& panels, int64_t begin, int64_t end, int32_t* norms, Executor& executor) {
  AddNorms(panels, begin, end, norms, executor);
}

bool AddFloats(const Panels<float>& x, RowRange rows, const Panels<float>& y, RowRange cols, double* tile,
               int64_t stride, Executor& executor) {
  return AddProducts(x, rows, y, cols, tile, stride, executor);
}
bool AddDoubles(const Panels<double>& x, RowRange rows, const Panels<double>& y, RowRange cols, double* tile,
                int64_t stride, Executor& executor) {
  return AddProducts(x, rows, y, cols, tile, stride, executor);
}
bool AddBits(const Panels<uint64_t>& x, RowRange rows, const Panels<uint64_t>& y, RowRange cols, int32_t* tile,
             int64_t stride, Executor& executor) {
  return AddProducts(x, rows, y, cols, tile, stride, executor);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AddFloats);
HWY_EXPORT(AddDoubles);
HWY_EXPORT(AddBits);
HWY_EXPORT(AddFloatNorms);
HWY_EXPORT(AddDoubleNorms);
HWY_EXPORT(AddBitNorms);

bool AddPanelProduct(const Panels<float>& x, RowRange rows, const Panels<float>& y, RowRange cols, double* tile,
                     int64_t stride, Executor& executor) {
  return HWY_DYNAMIC_DISPATCH(AddFloats)(x, rows, y, cols, tile, stride, executor);
}
bool AddPanelProduct(const Panels<double>& x, RowRange rows, const Panels<double>& y, RowRange cols, double* tile,
                     int64_t stride, Executor& executor) {
  return HWY_DYNAMIC_DISPATCH(AddDoubles)(x, rows, y, cols, tile, stride, executor);
}
bool AddPanelProduct(const Panels<uint64_t>& x, RowRange rows, const Panels<uint64_t>& y, RowRange cols, int32_t* tile,
                     int64_t stride, Executor& executor) {
  return HWY_DYNAMIC_DISPATCH(AddBits)(x, rows, y, cols, tile, stride, executor);
}

namespace {

// Calls add(begin, end) for all panels.
template <typename T, typename Add>
void ForPanels(const Panels<T>& panels, Executor& executor, const Add& add) {
  // The multiplications of floats that take as long as 64 bytes.
  constexpr double kNormCost = 64;
  executor.ParallelFor(panels.count(), Grain(kNormCost * static_cast<double>(panels.depth())), add);
}

}  // namespace

void AddSquaredNorms(const Panels<float>& panels, double* norms, Executor& executor) {
  ForPanels(panels, executor, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AddFloatNorms)(panels, begin, end, norms, executor);
  });
}
void AddSquaredNorms(const Panels<double>& panels, double* norms, Executor& executor) {
  ForPanels(panels, executor, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AddDoubleNorms)(panels, begin, end, norms, executor);
  });
}
void AddSquaredNorms(const Panels<uint64_t>& panels, int32_t* norms, Executor& executor) {
  ForPanels(panels, executor, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AddBitNorms)(panels, begin, end, norms, executor);
  });
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

#include "simd/matrix_product.h"

#include <algorithm>
#include <cstring>

#include "simd/targets.h"
#include "simd/transpose.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/matrix_product.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// After those.
#include "simd/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::CappedTag<float, 16>;
using FloatV = hn::Vec<Float>;
constexpr int64_t kVectorLanes = static_cast<int64_t>(hn::MaxLanes(Float()));

// A block of results that is kept in registers: so many rows, two vectors wide.
constexpr int kGroupRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
constexpr int64_t kPanelColumns = 2 * kVectorLanes;
// Rows whose elements are mostly 0 are computed one by one, from those that are not. A row's vectors are then kept in
// registers, so many at a time.
constexpr int kRowVectors = 8;
// Of a group of rows, the columns whose sums are kept in the cache.
constexpr int64_t kSparseColumns = 128;

// Where a run's sums begin and end: in c, or at first in a row that all rows share.
struct Run {
  const float* row_start;  // May be null: 0.
  bool from_result;        // Begin with what c has.
  bool add_to_result;      // Begin with 0, and add to what c has.
};

HWY_INLINE FloatV Begin(const Run& run, const float* c, int64_t column, int64_t lanes) {
  if (run.from_result) return LoadSome(Float(), c, lanes);
  return run.row_start == nullptr || run.add_to_result ? hn::Zero(Float())
                                                       : LoadSome(Float(), run.row_start + column, lanes);
}
HWY_INLINE void End(const Run& run, FloatV sum, float* c, int64_t lanes) {
  StoreSome(Float(), run.add_to_result ? hn::Add(LoadSome(Float(), c, lanes), sum) : sum, c, lanes);
}

// `a` is [depth][kGroupRows], `b` [depth][kPanelColumns]; `columns` fill kVectors vectors, but for the last one.
template <int kVectors>
HWY_INLINE void MultiplyGroup(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, int64_t depth, const Run& run,
                              int64_t column, int64_t columns, float* c, int64_t c_stride) {
  const Float d;
  FloatV sums[kGroupRows][kVectors];
  const auto lanes = [&](int v) { return columns - v * kVectorLanes; };
  HWY_UNROLL(8)
  for (int r = 0; r < kGroupRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = Begin(run, c + r * c_stride + v * kVectorLanes, column + v * kVectorLanes, lanes(v));
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    FloatV row[kVectors];
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) row[v] = hn::Load(d, b + k * kPanelColumns + v * kVectorLanes);
    HWY_UNROLL(8)
    for (int r = 0; r < kGroupRows; ++r) {
      const auto x = hn::Set(d, a[k * kGroupRows + r]);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Add(sums[r][v], hn::Mul(x, row[v]));
    }
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kGroupRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) End(run, sums[r][v], c + r * c_stride + v * kVectorLanes, lanes(v));
  }
}

// The elements of a row that are not 0.
struct SparseRow {
  int64_t count = 0;
  int32_t k[kProductRun + kVectorLanes];
  float value[kProductRun + kVectorLanes];
};

// `kVectors` vectors of one row's results, of which the last has `last_lanes`.
template <int kVectors>
HWY_INLINE void MultiplyRowPart(const SparseRow& a, const float* HWY_RESTRICT b, int64_t b_stride, const Run& run,
                                int64_t column, int64_t last_lanes, float* c) {
  const Float d;
  FloatV sums[kVectors];
  const Lanes<Float> last(last_lanes);
  const auto lanes = [&](int v) { return v == kVectors - 1 ? last_lanes : kVectorLanes; };
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    sums[v] = Begin(run, c + v * kVectorLanes, column + v * kVectorLanes, lanes(v));
  }
  for (int64_t i = 0; i < a.count; ++i) {
    const float* HWY_RESTRICT row = b + a.k[i] * b_stride;
    const auto x = hn::Set(d, a.value[i]);
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) {
      const float* from = row + v * kVectorLanes;
      sums[v] = hn::Add(sums[v], hn::Mul(x, v == kVectors - 1 ? last.Load(from) : hn::LoadU(d, from)));
    }
  }
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) End(run, sums[v], c + v * kVectorLanes, lanes(v));
}

HWY_INLINE void MultiplyRow(const SparseRow& a, const float* b, int64_t b_stride, const Run& run, int64_t columns,
                            float* c) {
  int64_t j = 0;
  for (; j + kRowVectors * kVectorLanes <= columns; j += kRowVectors * kVectorLanes) {
    MultiplyRowPart<kRowVectors>(a, b + j, b_stride, run, j, kVectorLanes, c + j);
  }
  for (; j + 2 * kVectorLanes <= columns; j += 2 * kVectorLanes) {
    MultiplyRowPart<2>(a, b + j, b_stride, run, j, kVectorLanes, c + j);
  }
  for (; j < columns; j += kVectorLanes) {
    MultiplyRowPart<1>(a, b + j, b_stride, run, j, std::min(kVectorLanes, columns - j), c + j);
  }
}

// Whether so few of the elements are not 0 that it pays to go through these alone: one takes a dozen cycles, and
// `half_cycles` / 2 for each vector of results; MultiplyGroup takes one for each element and vector.
HWY_INLINE bool IsSparse(int64_t others, int64_t elements, int64_t columns, int64_t half_cycles) {
  const int64_t vectors = (columns + kVectorLanes - 1) / kVectorLanes;
  return others * (24 + half_cycles * vectors) < elements * 2 * vectors;
}

// The elements of a row, which are beside each other, that are not 0. The arrays have room for a vector more.
HWY_INLINE void Compress(const float* row, int64_t depth, SparseRow& sparse) {
  const Float d;
  const hn::RebindToSigned<Float> di;
  sparse.count = 0;
  for (int64_t k = 0; k < depth; k += kVectorLanes) {
    // Lanes beside the row are 0.
    const auto values = LoadSome(d, row + k, depth - k);
    const auto others = hn::Ne(values, hn::Zero(d));
    // Not CompressStore: some machines take a hundred cycles for it.
    const auto index = hn::Iota(di, static_cast<int32_t>(k));
    hn::StoreU(hn::Compress(index, hn::RebindMask(di, others)), di, sparse.k + sparse.count);
    hn::StoreU(hn::Compress(values, others), d, sparse.value + sparse.count);
    sparse.count += static_cast<int64_t>(hn::CountTrue(d, others));
  }
}

// The elements of `depth` groups of kGroupRows rows that are not 0, from a packed group.
HWY_INLINE int64_t CountOthers(const float* packed, int64_t depth) {
  const Float d;
  int64_t others = 0;
  for (int64_t i = 0; i < depth * kGroupRows; i += kVectorLanes) {
    others +=
        static_cast<int64_t>(hn::CountTrue(d, hn::Ne(LoadSome(d, packed + i, depth * kGroupRows - i), hn::Zero(d))));
  }
  return others;
}

// A packed group of rows of which few elements are not 0, in the order of depth. The results are in memory meanwhile.
HWY_INLINE void MultiplySparseGroup(const float* HWY_RESTRICT a, const RightOperand& b, int64_t depth, const Run& run,
                                    int64_t columns, float* c, int64_t c_stride) {
  const Float d;
  HWY_ALIGN float sums[kGroupRows * kSparseColumns];
  const int64_t elements = depth * kGroupRows;
  for (int64_t j = 0; j < columns; j += kSparseColumns) {
    const int64_t width = std::min(kSparseColumns, columns - j);
    const Lanes<Float> last(width % kVectorLanes);
    for (int r = 0; r < kGroupRows; ++r) {
      for (int64_t v = 0; v < width; v += kVectorLanes) {
        hn::Store(Begin(run, c + r * c_stride + j + v, j + v, width - v), d, sums + r * kSparseColumns + v);
      }
    }
    for (int64_t first = 0; first < elements; first += kVectorLanes) {
      uint8_t bytes[8] = {};
      hn::StoreMaskBits(d, hn::Ne(LoadSome(d, a + first, elements - first), hn::Zero(d)), bytes);
      uint32_t others;
      std::memcpy(&others, bytes, sizeof others);
      for (; others != 0; others &= others - 1) {
        const int64_t element = first + hwy::Num0BitsBelowLS1Bit_Nonzero32(others);
        const float* HWY_RESTRICT row = b.data + element / kGroupRows * b.row_stride + j;
        float* sum = sums + element % kGroupRows * kSparseColumns;
        const auto x = hn::Set(d, a[element]);
        int64_t v = 0;
        HWY_UNROLL(4)
        for (; v + kVectorLanes <= width; v += kVectorLanes) {
          hn::Store(hn::Add(hn::Load(d, sum + v), hn::Mul(x, hn::LoadU(d, row + v))), d, sum + v);
        }
        if (v < width) hn::Store(hn::Add(hn::Load(d, sum + v), hn::Mul(x, last.Load(row + v))), d, sum + v);
      }
    }
    for (int r = 0; r < kGroupRows; ++r) {
      for (int64_t v = 0; v < width; v += kVectorLanes) {
        End(run, hn::Load(d, sums + r * kSparseColumns + v), c + r * c_stride + j + v, width - v);
      }
    }
  }
}

// Packs a group of rows: [depth][kGroupRows].
HWY_INLINE void PackGroup(const float* from, int64_t row_stride, int64_t depth_stride, int64_t depth, float* to) {
  if (row_stride == 1) {
    for (int64_t k = 0; k < depth; ++k) std::copy_n(from + k * depth_stride, kGroupRows, to + k * kGroupRows);
    return;
  }
  if (depth_stride == 1) return Transpose(from, row_stride, kGroupRows, depth, nullptr, to, kGroupRows);
  for (int64_t k = 0; k < depth; ++k) {
    for (int r = 0; r < kGroupRows; ++r) *to++ = from[r * row_stride + k * depth_stride];
  }
}

// One run of depth: the elements k < depth of `a` and `b`.
HWY_INLINE void MultiplyRun(const LeftOperand& a, const RightOperand& b, int64_t rows, int64_t columns, int64_t depth,
                            const Run& run, float* c, int64_t c_stride) {
  // Groups of rows that are dense enough for MultiplyGroup, packed; the others are computed at once.
  constexpr int64_t kPackedGroups = 8;
  HWY_ALIGN float packed[kPackedGroups][kProductRun * kGroupRows];
  HWY_ALIGN float panel[kProductRun * kPanelColumns];
  SparseRow sparse;
  int64_t group_begin[kPackedGroups];

  const auto multiply_row = [&](int64_t row) HWY_ATTR {
    if (a.depth_stride == 1) {
      Compress(a.data + row * a.row_stride, depth, sparse);
    } else {
      sparse.count = 0;
      const float* element = a.data + row * a.row_stride;
      for (int64_t k = 0; k < depth; ++k, element += a.depth_stride) {
        sparse.k[sparse.count] = static_cast<int32_t>(k);
        sparse.value[sparse.count] = *element;
        sparse.count += *element != 0;
      }
    }
    MultiplyRow(sparse, b.data, b.row_stride, run, columns, c + row * c_stride);
  };
  // Whether the rows of a group are sparse, before they are packed.
  const auto rows_are_sparse = [&](int64_t row) HWY_ATTR {
    if (a.depth_stride != 1) return false;
    const Float d;
    int64_t others = 0;
    for (int r = 0; r < kGroupRows; ++r) {
      const float* elements = a.data + (row + r) * a.row_stride;
      for (int64_t k = 0; k < depth; k += kVectorLanes) {
        others += static_cast<int64_t>(hn::CountTrue(d, hn::Ne(LoadSome(d, elements + k, depth - k), hn::Zero(d))));
      }
    }
    return IsSparse(others, depth * kGroupRows, columns, 3);
  };

  for (int64_t row = 0; row < rows;) {
    int64_t groups = 0;
    for (; row + kGroupRows <= rows && groups < kPackedGroups; row += kGroupRows) {
      if (rows_are_sparse(row)) {
        for (int r = 0; r < kGroupRows; ++r) multiply_row(row + r);
        continue;
      }
      PackGroup(a.data + row * a.row_stride, a.row_stride, a.depth_stride, depth, packed[groups]);
      if (a.depth_stride != 1 && IsSparse(CountOthers(packed[groups], depth), depth * kGroupRows, columns, 9)) {
        MultiplySparseGroup(packed[groups], b, depth, run, columns, c + row * c_stride, c_stride);
      } else {
        group_begin[groups++] = row;
      }
    }
    if (groups == 0 && row + kGroupRows > rows) {
      for (; row < rows; ++row) multiply_row(row);
    }
    for (int64_t j = 0; groups > 0 && j < columns; j += kPanelColumns) {
      const int64_t width = std::min(kPanelColumns, columns - j);
      for (int64_t k = 0; k < depth; ++k) {
        const float* from = b.data + k * b.row_stride + j;
        float* to = panel + k * kPanelColumns;
        for (int v = 0; v < 2; ++v) {
          const int64_t begin = v * kVectorLanes;
          hn::Store(begin < width ? LoadSome(Float(), from + begin, width - begin) : hn::Zero(Float()), Float(),
                    to + begin);
        }
      }
      for (int64_t g = 0; g < groups; ++g) {
        float* const to = c + group_begin[g] * c_stride + j;
        if (width > kVectorLanes) {
          MultiplyGroup<2>(packed[g], panel, depth, run, j, width, to, c_stride);
        } else {
          MultiplyGroup<1>(packed[g], panel, depth, run, j, width, to, c_stride);
        }
      }
    }
  }
}

void AnyMatrixProduct(const LeftOperand& a, const RightOperand& b, int64_t rows, int64_t columns, int64_t depth,
                      ProductStart start, const float* row_start, float* c, int64_t c_stride) {
  const bool onto_result = start == ProductStart::kOntoResult;
  for (int64_t k = 0; k == 0 || k < depth; k += kProductRun) {
    const Run run{row_start, /*from_result=*/!onto_result && k > 0, /*add_to_result=*/onto_result};
    MultiplyRun({a.data + k * a.depth_stride, a.row_stride, a.depth_stride}, {b.data + k * b.row_stride, b.row_stride},
                rows, columns, std::min(kProductRun, depth - k), run, c, c_stride);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AnyMatrixProduct);

void MatrixProduct(const LeftOperand& a, const RightOperand& b, int64_t rows, int64_t columns, int64_t depth,
                   ProductStart start, const float* row_start, float* c, int64_t c_stride) {
  HWY_DYNAMIC_DISPATCH(AnyMatrixProduct)(a, b, rows, columns, depth, start, row_start, c, c_stride);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

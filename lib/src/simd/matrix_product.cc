#include "simd/matrix_product.h"

#include <algorithm>

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/matrix_product.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

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

// Where a run's sums begin and end: in c, or at first in a row that all rows share.
struct Run {
  const float* row_start;  // May be null: 0.
  bool from_result;        // Begin with what c has.
  bool add_to_result;      // Begin with 0, and add to what c has.
};

// Loads and stores `lanes` elements, at most a vector, and touches none beside them: instruction sets without masks in
// memory go through a buffer.
constexpr bool kMasksMemory = HWY_TARGET <= HWY_AVX2;

HWY_INLINE FloatV LoadSome(const float* from, int64_t lanes) {
  const Float d;
  if (lanes >= kVectorLanes) return hn::LoadU(d, from);
  if constexpr (kMasksMemory) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(lanes)), d, from);
  } else {
    HWY_ALIGN float buffer[kVectorLanes] = {};
    std::copy_n(from, lanes, buffer);
    return hn::Load(d, buffer);
  }
}
HWY_INLINE void StoreSome(FloatV v, float* to, int64_t lanes) {
  const Float d;
  if (lanes >= kVectorLanes) return hn::StoreU(v, d, to);
  if constexpr (kMasksMemory) {
    hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(lanes)), d, to);
  } else {
    HWY_ALIGN float buffer[kVectorLanes];
    hn::Store(v, d, buffer);
    std::copy_n(buffer, lanes, to);
  }
}

HWY_INLINE FloatV Begin(const Run& run, const float* c, int64_t column, int64_t lanes) {
  if (run.from_result) return LoadSome(c, lanes);
  return run.row_start == nullptr || run.add_to_result ? hn::Zero(Float()) : LoadSome(run.row_start + column, lanes);
}
HWY_INLINE void End(const Run& run, FloatV sum, float* c, int64_t lanes) {
  StoreSome(run.add_to_result ? hn::Add(LoadSome(c, lanes), sum) : sum, c, lanes);
}

// `a` is [depth][kGroupRows], `b` [depth][kPanelColumns]; `columns` <= kPanelColumns.
HWY_INLINE void MultiplyGroup(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, int64_t depth, const Run& run,
                              int64_t column, int64_t columns, float* c, int64_t c_stride) {
  const Float d;
  FloatV sums[kGroupRows][2];
  HWY_UNROLL(8)
  for (int r = 0; r < kGroupRows; ++r) {
    sums[r][0] = Begin(run, c + r * c_stride, column, columns);
    sums[r][1] = columns > kVectorLanes
                     ? Begin(run, c + r * c_stride + kVectorLanes, column + kVectorLanes, columns - kVectorLanes)
                     : hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k) {
    const auto b0 = hn::Load(d, b + k * kPanelColumns);
    const auto b1 = hn::Load(d, b + k * kPanelColumns + kVectorLanes);
    HWY_UNROLL(8)
    for (int r = 0; r < kGroupRows; ++r) {
      const auto x = hn::Set(d, a[k * kGroupRows + r]);
      sums[r][0] = hn::Add(sums[r][0], hn::Mul(x, b0));
      sums[r][1] = hn::Add(sums[r][1], hn::Mul(x, b1));
    }
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kGroupRows; ++r) {
    End(run, sums[r][0], c + r * c_stride, columns);
    if (columns > kVectorLanes) End(run, sums[r][1], c + r * c_stride + kVectorLanes, columns - kVectorLanes);
  }
}

// The elements of a row that are not 0.
struct SparseRow {
  int64_t count = 0;
  int32_t k[kProductRun];
  float value[kProductRun];
};

// `kVectors` vectors of one row's results, of which the last has `last_lanes`.
template <int kVectors>
HWY_INLINE void MultiplyRowPart(const SparseRow& a, const float* HWY_RESTRICT b, int64_t b_stride, const Run& run,
                                int64_t column, int64_t last_lanes, float* c) {
  const Float d;
  FloatV sums[kVectors];
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
      sums[v] = hn::Add(sums[v], hn::Mul(x, LoadSome(row + v * kVectorLanes, lanes(v))));
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
    sparse.count = 0;
    const float* element = a.data + row * a.row_stride;
    for (int64_t k = 0; k < depth; ++k, element += a.depth_stride) {
      sparse.k[sparse.count] = static_cast<int32_t>(k);
      sparse.value[sparse.count] = *element;
      sparse.count += *element != 0;
    }
    MultiplyRow(sparse, b.data, b.row_stride, run, columns, c + row * c_stride);
  };

  for (int64_t row = 0; row < rows;) {
    int64_t groups = 0;
    for (; row + kGroupRows <= rows && groups < kPackedGroups; row += kGroupRows) {
      float* to = packed[groups];
      int64_t others = 0;
      for (int64_t k = 0; k < depth; ++k) {
        for (int r = 0; r < kGroupRows; ++r) {
          const float element = a.data[(row + r) * a.row_stride + k * a.depth_stride];
          *to++ = element;
          others += element != 0;
        }
      }
      if (others * 2 < depth * kGroupRows) {
        for (int r = 0; r < kGroupRows; ++r) multiply_row(row + r);
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
        if (width == kPanelColumns) {
          std::copy_n(from, kPanelColumns, to);
        } else {
          std::fill_n(std::copy_n(from, width, to), kPanelColumns - width, 0.0f);
        }
      }
      for (int64_t g = 0; g < groups; ++g) {
        MultiplyGroup(packed[g], panel, depth, run, j, width, c + group_begin[g] * c_stride + j, c_stride);
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

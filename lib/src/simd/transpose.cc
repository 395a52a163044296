#include "simd/transpose.h"

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/transpose.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The columns begin ... end - 1, one element at a time.
template <typename From, typename To>
void CopyElements(const From* HWY_RESTRICT from, int64_t from_stride, int64_t rows, int64_t begin, int64_t end,
                  const To* HWY_RESTRICT shift, To* HWY_RESTRICT to, int64_t to_stride) {
  for (int64_t c = begin; c < end; ++c) {
    const To less = shift == nullptr ? To{0} : shift[c];
    for (int64_t r = 0; r < rows; ++r) to[c * to_stride + r] = static_cast<To>(from[r * from_stride + c]) - less;
  }
}

#if HWY_TARGET != HWY_SCALAR
// Square pieces in registers of 16 bytes: four rows of floats, two of doubles.
template <typename T>
constexpr int kSide = 16 / sizeof(T);
template <typename T>
using Tag = hn::FixedTag<T, kSide<T>>;

HWY_INLINE void TransposePiece(hn::Vec<Tag<float>> (&v)[4]) {
  const Tag<float> d;
  const auto low01 = hn::InterleaveLower(d, v[0], v[1]);
  const auto high01 = hn::InterleaveUpper(d, v[0], v[1]);
  const auto low23 = hn::InterleaveLower(d, v[2], v[3]);
  const auto high23 = hn::InterleaveUpper(d, v[2], v[3]);
  v[0] = hn::ConcatLowerLower(d, low23, low01);
  v[1] = hn::ConcatUpperUpper(d, low23, low01);
  v[2] = hn::ConcatLowerLower(d, high23, high01);
  v[3] = hn::ConcatUpperUpper(d, high23, high01);
}

HWY_INLINE void TransposePiece(hn::Vec<Tag<double>> (&v)[2]) {
  const Tag<double> d;
  const auto low = hn::InterleaveLower(d, v[0], v[1]);
  v[1] = hn::InterleaveUpper(d, v[0], v[1]);
  v[0] = low;
}

template <typename T>
void TransposeSame(const T* HWY_RESTRICT from, int64_t from_stride, int64_t rows, int64_t cols,
                   const T* HWY_RESTRICT shift, T* HWY_RESTRICT to, int64_t to_stride) {
  const Tag<T> d;
  const int64_t whole_rows = rows - rows % kSide<T>;
  const int64_t whole_cols = cols - cols % kSide<T>;
  for (int64_t c = 0; c < whole_cols; c += kSide<T>) {
    const auto less = shift == nullptr ? hn::Zero(d) : hn::LoadU(d, shift + c);
    for (int64_t r = 0; r < whole_rows; r += kSide<T>) {
      hn::Vec<Tag<T>> piece[kSide<T>];
      HWY_UNROLL(4)
      for (int i = 0; i < kSide<T>; ++i) piece[i] = hn::Sub(hn::LoadU(d, from + (r + i) * from_stride + c), less);
      TransposePiece(piece);
      HWY_UNROLL(4)
      for (int i = 0; i < kSide<T>; ++i) hn::StoreU(piece[i], d, to + (c + i) * to_stride + r);
    }
  }
  CopyElements(from + whole_rows * from_stride, from_stride, rows - whole_rows, 0, whole_cols, shift, to + whole_rows,
               to_stride);
  CopyElements(from, from_stride, rows, whole_cols, cols, shift, to, to_stride);
}
#else
template <typename T>
void TransposeSame(const T* from, int64_t from_stride, int64_t rows, int64_t cols, const T* shift, T* to,
                   int64_t to_stride) {
  CopyElements(from, from_stride, rows, 0, cols, shift, to, to_stride);
}
#endif  // HWY_TARGET != HWY_SCALAR

void TransposeFloats(const float* from, int64_t from_stride, int64_t rows, int64_t cols, const float* shift, float* to,
                     int64_t to_stride) {
  TransposeSame(from, from_stride, rows, cols, shift, to, to_stride);
}
void TransposeDoubles(const double* from, int64_t from_stride, int64_t rows, int64_t cols, const double* shift,
                      double* to, int64_t to_stride) {
  TransposeSame(from, from_stride, rows, cols, shift, to, to_stride);
}
void TransposeFloatsAsDoubles(const float* from, int64_t from_stride, int64_t rows, int64_t cols, const double* shift,
                              double* to, int64_t to_stride) {
  CopyElements(from, from_stride, rows, 0, cols, shift, to, to_stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(TransposeFloats);
HWY_EXPORT(TransposeDoubles);
HWY_EXPORT(TransposeFloatsAsDoubles);

void Transpose(const float* from, int64_t from_stride, int64_t rows, int64_t cols, const float* shift, float* to,
               int64_t to_stride) {
  HWY_DYNAMIC_DISPATCH(TransposeFloats)(from, from_stride, rows, cols, shift, to, to_stride);
}
void Transpose(const double* from, int64_t from_stride, int64_t rows, int64_t cols, const double* shift, double* to,
               int64_t to_stride) {
  HWY_DYNAMIC_DISPATCH(TransposeDoubles)(from, from_stride, rows, cols, shift, to, to_stride);
}
void Transpose(const float* from, int64_t from_stride, int64_t rows, int64_t cols, const double* shift, double* to,
               int64_t to_stride) {
  HWY_DYNAMIC_DISPATCH(TransposeFloatsAsDoubles)(from, from_stride, rows, cols, shift, to, to_stride);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

#include "simd/surrogate_derivative.h"

#include <algorithm>

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/surrogate_derivative.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// After those.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::ScalableTag<float>;
using FloatV = hn::Vec<Float>;

// values[i] = f(values[i])
template <class Function>
HWY_INLINE void ForEach(float* values, int64_t count, Function f) {
  const Float d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(f(hn::LoadU(d, values + i)), d, values + i);
  if (i == count) return;
  HWY_ALIGN float last[hn::MaxLanes(Float())] = {};
  std::copy_n(values + i, count - i, last);
  hn::Store(f(hn::Load(d, last)), d, last);
  std::copy_n(last, count - i, values + i);
}

// e^-|y|, from which both derivatives follow without a difference of near numbers. It is 0 beyond the smallest float.
HWY_INLINE FloatV Decay(FloatV y) { return hn::Exp(Float(), hn::Neg(hn::Abs(y))); }

void AllSigmoidDerivatives(float alpha, float* values, int64_t count) {
  const Float d;
  const auto factor = hn::Set(d, alpha);
  const auto one = hn::Set(d, 1.0f);
  // s (1 - s) = e / (1 + e)^2
  ForEach(values, count, [&](FloatV x) HWY_ATTR {
    const auto e = Decay(hn::Mul(factor, x));
    const auto sum = hn::Add(one, e);
    return hn::Mul(factor, hn::Div(e, hn::Mul(sum, sum)));
  });
}

void AllSignSwishDerivatives(float beta, float* values, int64_t count) {
  const Float d;
  const auto factor = hn::Set(d, beta);
  const auto one = hn::Set(d, 1.0f);
  const auto two = hn::Set(d, 2.0f);
  // Where y is infinite, e is 0 and decides; the bound keeps 0 from meeting an infinity.
  const auto far = hn::Set(d, 1e4f);
  // y tanh(y / 2) = |y| (1 - e) / (1 + e), and 1 + cosh(y) = (1 + e)^2 / 2e
  ForEach(values, count, [&](FloatV x) HWY_ATTR {
    const auto y = hn::Min(hn::Abs(hn::Mul(factor, x)), far);
    const auto e = Decay(y);
    const auto sum = hn::Add(one, e);
    const auto numerator = hn::Sub(two, hn::Div(hn::Mul(y, hn::Sub(one, e)), sum));
    return hn::Div(hn::Mul(hn::Mul(factor, numerator), hn::Mul(two, e)), hn::Mul(sum, sum));
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AllSigmoidDerivatives);
HWY_EXPORT(AllSignSwishDerivatives);

void SigmoidDerivatives(float alpha, float* values, int64_t count) {
  HWY_DYNAMIC_DISPATCH(AllSigmoidDerivatives)(alpha, values, count);
}
void SignSwishDerivatives(float beta, float* values, int64_t count) {
  HWY_DYNAMIC_DISPATCH(AllSignSwishDerivatives)(beta, values, count);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

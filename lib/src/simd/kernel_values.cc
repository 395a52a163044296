#include "simd/kernel_values.h"

#include <iterator>

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/kernel_values.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Double = hn::ScalableTag<double>;
using DoubleV = hn::Vec<Double>;

// A double to which an integer below 2^51 is added and which then has the integer in its low bits, rounded to nearest.
constexpr double kRounder = 0x1.8p52;

// 2^n, where `shifted` is kRounder + n, for -1022 <= n <= 1023.
HWY_INLINE DoubleV PowerOfTwo(DoubleV shifted) {
  const Double d;
  const hn::RebindToSigned<Double> di;
  const auto n = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, hn::Set(d, kRounder)));
  return hn::BitCast(d, hn::ShiftLeft<52>(hn::Add(n, hn::Set(di, 1023))));
}

// e^x = 2^n e^r with |r| <= ln(2) / 2, for which Taylor's series of 14 terms is as good as a double.
HWY_INLINE DoubleV Exp(DoubleV x) {
  constexpr double kLog2E = 1.4426950408889634;
  // ln 2 in two parts; the first has so few digits that its products with n are exact.
  constexpr double kLn2High = 0x1.62e42feep-1;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  // 1 / 13! ... 1 / 2!.
  constexpr double kInverseFactorials[] = {1.6059043836821613e-10, 2.08767569878681e-9,   2.505210838544172e-8,
                                           2.755731922398589e-7,   2.7557319223985893e-6, 2.48015873015873e-5,
                                           1.984126984126984e-4,   1.3888888888888889e-3, 8.333333333333333e-3,
                                           4.1666666666666664e-2,  1.6666666666666666e-1, 0.5};
  const Double d;
  const auto rounder = hn::Set(d, kRounder);
  // Beyond, the result is 0 or infinite anyway.
  const auto bounded = hn::Min(hn::Max(x, hn::Set(d, -746.0)), hn::Set(d, 710.0));
  const auto n = hn::Sub(hn::Add(hn::Mul(bounded, hn::Set(d, kLog2E)), rounder), rounder);
  const auto r = hn::Sub(hn::Sub(bounded, hn::Mul(n, hn::Set(d, kLn2High))), hn::Mul(n, hn::Set(d, kLn2Low)));
  auto sum = hn::Set(d, kInverseFactorials[0]);
  for (size_t i = 1; i < std::size(kInverseFactorials); ++i) {
    sum = hn::Add(hn::Mul(sum, r), hn::Set(d, kInverseFactorials[i]));
  }
  const auto power = hn::Add(hn::Set(d, 1.0), hn::Add(r, hn::Mul(hn::Mul(r, r), sum)));
  // In two steps, because 2^n alone may be no double where the product is.
  const auto half = hn::Add(hn::Mul(n, hn::Set(d, 0.5)), rounder);
  const auto rest = hn::Add(hn::Sub(n, hn::Sub(half, rounder)), rounder);
  const auto result = hn::Mul(hn::Mul(power, PowerOfTwo(half)), PowerOfTwo(rest));
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

// values[i] = f(values[i])
template <class Function>
HWY_INLINE void ForEach(double* values, int64_t count, Function f) {
  const Double d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(f(hn::LoadU(d, values + i)), d, values + i);
  if (i == count) return;
  HWY_ALIGN double last[hn::MaxLanes(Double())] = {};
  for (int64_t lane = 0; i + lane < count; ++lane) last[lane] = values[i + lane];
  hn::Store(f(hn::Load(d, last)), d, last);
  for (int64_t lane = 0; i + lane < count; ++lane) values[i + lane] = last[lane];
}

void AllScaledExponentials(double scale, double* values, int64_t count) {
  const auto factor = hn::Set(Double(), scale);
  ForEach(values, count, [&](DoubleV v) HWY_ATTR { return Exp(hn::Mul(v, factor)); });
}

void AllSigmoids(double alpha, double* values, int64_t count) {
  const auto factor = hn::Set(Double(), -alpha);
  const auto one = hn::Set(Double(), 1.0);
  ForEach(values, count, [&](DoubleV v) HWY_ATTR { return hn::Div(one, hn::Add(one, Exp(hn::Mul(v, factor)))); });
}

bool AllSquaredDistances(double norm, const double* norms, double cancelled, double* values, int64_t count) {
  const Double d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  bool good = true;
  int64_t i = 0;
  auto all = hn::Eq(hn::Zero(d), hn::Zero(d));
  for (; i + lanes <= count; i += lanes) {
    const auto sum = hn::Add(hn::Set(d, norm), hn::LoadU(d, norms + i));
    const auto product = hn::LoadU(d, values + i);
    const auto distance = hn::Sub(sum, hn::Add(product, product));
    all = hn::And(all, hn::And(hn::Lt(hn::Mul(sum, hn::Set(d, cancelled)), distance),
                               hn::Le(distance, hn::Mul(sum, hn::Set(d, 3.0)))));
    hn::StoreU(distance, d, values + i);
  }
  for (; i < count; ++i) {
    const double sum = norm + norms[i];
    values[i] = sum - (values[i] + values[i]);
    good = good && sum * cancelled < values[i] && values[i] <= sum * 3.0;
  }
  return good && hn::AllTrue(d, all);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AllScaledExponentials);
HWY_EXPORT(AllSigmoids);
HWY_EXPORT(AllSquaredDistances);

void ScaledExponentials(double scale, double* values, int64_t count) {
  HWY_DYNAMIC_DISPATCH(AllScaledExponentials)(scale, values, count);
}
void Sigmoids(double alpha, double* values, int64_t count) { HWY_DYNAMIC_DISPATCH(AllSigmoids)(alpha, values, count); }
bool SquaredDistances(double norm, const double* norms, double cancelled, double* values, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(AllSquaredDistances)(norm, norms, cancelled, values, count);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

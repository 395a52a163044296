#include "simd/neuron_step.h"

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/neuron_step.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// After those.
#include "hwy/contrib/math/math-inl.h"
#include "simd/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::CappedTag<float, 16>;
using FloatV = hn::Vec<Float>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(Float()));

template <ChargeRule::Kind kKind>
HWY_INLINE FloatV Charge(FloatV v, FloatV dv, FloatV v_reset, FloatV factor) {
  using Kind = ChargeRule::Kind;
  if constexpr (kKind == Kind::kAdd) return hn::Add(v, dv);
  const auto residue = hn::Sub(v, v_reset);
  if constexpr (kKind == Kind::kLeakByTau) return hn::Add(v, hn::Div(hn::Sub(dv, residue), factor));
  if constexpr (kKind == Kind::kLeakByRate) return hn::Add(v, hn::Mul(hn::Sub(dv, residue), factor));
  if constexpr (kKind == Kind::kResidue) return hn::Add(hn::Mul(residue, factor), dv);
  return hn::Add(hn::Add(v, hn::Mul(residue, factor)), dv);
}

HWY_INLINE FloatV Thresholds(const NeuronRule& rule, int64_t n, int64_t lanes) {
  const Float d;
  return rule.thresholds == nullptr ? hn::Set(d, rule.threshold) : LoadSome(d, rule.thresholds + n, lanes);
}

template <ChargeRule::Kind kKind>
void ForwardWith(const NeuronRule& rule, const ForwardStep& step) {
  const Float d;
  const auto v_reset = hn::Set(d, rule.v_reset), factor = hn::Set(d, rule.charge.factor), one = hn::Set(d, 1.0f);
  for (int64_t n = 0; n < step.count; n += kLanes) {
    const int64_t lanes = step.count - n;
    const auto charged =
        Charge<kKind>(LoadSome(d, step.v + n, lanes), LoadSome(d, step.dv + n, lanes), v_reset, factor);
    // The difference, not a comparison of the two: they disagree where both are infinite.
    const auto above = hn::Sub(charged, Thresholds(rule, n, lanes));
    const auto spike = hn::Ge(above, hn::Zero(d));
    const auto after = hn::IfThenElse(spike, rule.hard_reset ? v_reset : above, charged);
    if (step.v_before_reset != nullptr) StoreSome(d, charged, step.v_before_reset + n, lanes);
    if (step.v_after_reset != nullptr) StoreSome(d, after, step.v_after_reset + n, lanes);
    StoreSome(d, after, step.v + n, lanes);
    StoreSome(d, hn::IfThenElseZero(spike, one), step.spikes + n, lanes);
  }
}

void AnyStepForward(const NeuronRule& rule, const ForwardStep& step) {
  using Kind = ChargeRule::Kind;
  switch (rule.charge.kind) {
    case Kind::kAdd:
      return ForwardWith<Kind::kAdd>(rule, step);
    case Kind::kLeakByTau:
      return ForwardWith<Kind::kLeakByTau>(rule, step);
    case Kind::kLeakByRate:
      return ForwardWith<Kind::kLeakByRate>(rule, step);
    case Kind::kResidue:
      return ForwardWith<Kind::kResidue>(rule, step);
    case Kind::kSelfAndResidue:
      return ForwardWith<Kind::kSelfAndResidue>(rule, step);
  }
}

// e^-|y|, from which both smooth derivatives follow without a difference of near numbers. It is 0 beyond the smallest
// float.
HWY_INLINE FloatV Decay(FloatV y) { return hn::Exp(Float(), hn::Neg(hn::Abs(y))); }

struct Sigmoid {
  explicit Sigmoid(const SurrogateRule& rule) : alpha(hn::Set(Float(), rule.a)) {}
  // s (1 - s) = e / (1 + e)^2
  HWY_INLINE FloatV operator()(FloatV x) const {
    const auto e = Decay(hn::Mul(alpha, x));
    const auto sum = hn::Add(hn::Set(Float(), 1.0f), e);
    return hn::Mul(alpha, hn::Div(e, hn::Mul(sum, sum)));
  }
  FloatV alpha;
};

struct SignSwish {
  explicit SignSwish(const SurrogateRule& rule) : beta(hn::Set(Float(), rule.a)) {}
  // y tanh(y / 2) = |y| (1 - e) / (1 + e), and 1 + cosh(y) = (1 + e)^2 / 2e
  HWY_INLINE FloatV operator()(FloatV x) const {
    const Float d;
    const auto one = hn::Set(d, 1.0f), two = hn::Set(d, 2.0f);
    // Where y is infinite, e is 0 and decides; the bound keeps 0 from meeting an infinity.
    const auto y = hn::Min(hn::Abs(hn::Mul(beta, x)), hn::Set(d, 1e4f));
    const auto e = Decay(y);
    const auto sum = hn::Add(one, e);
    const auto numerator = hn::Sub(two, hn::Div(hn::Mul(y, hn::Sub(one, e)), sum));
    return hn::Div(hn::Mul(hn::Mul(beta, numerator), hn::Mul(two, e)), hn::Mul(sum, sum));
  }
  FloatV beta;
};

struct BilinearLeakyRelu {
  explicit BilinearLeakyRelu(const SurrogateRule& rule)
      : near(hn::Set(Float(), rule.a)), far(hn::Set(Float(), rule.b)), bound(hn::Set(Float(), rule.c)) {}
  HWY_INLINE FloatV operator()(FloatV x) const { return hn::IfThenElse(hn::Le(hn::Abs(x), bound), near, far); }
  FloatV near, far, bound;
};

template <class Surrogate>
void BackwardWith(const NeuronRule& rule, const Surrogate& surrogate, const BackwardStep& step) {
  const Float d;
  const auto zero = hn::Zero(d), v_reset = hn::Set(d, rule.v_reset);
  const auto slope_v = hn::Set(d, rule.charge.slope_v), slope_dv = hn::Set(d, rule.charge.slope_dv);
  for (int64_t n = 0; n < step.count; n += kLanes) {
    const int64_t lanes = step.count - n;
    const auto load = [&](const float* from) HWY_ATTR { return LoadSome(d, from + n, lanes); };
    const auto v = load(step.v_before_reset);
    const auto threshold = Thresholds(rule, n, lanes);
    const auto x = hn::Sub(v, threshold);
    const auto slope = surrogate(x);
    auto grad_after = load(step.grad_v);
    if (step.grad_v_after_reset != nullptr) grad_after = hn::Add(grad_after, load(step.grad_v_after_reset));
    // Through the spike, which is also what resets; and past the reset.
    const auto by_spike = rule.hard_reset ? hn::Sub(v_reset, v) : hn::Neg(threshold);
    const auto through = hn::Add(load(step.grad_spikes), hn::Mul(grad_after, by_spike));
    const auto past = rule.hard_reset ? hn::IfThenZeroElse(hn::Ge(x, zero), grad_after) : grad_after;
    auto grad = hn::Add(hn::IfThenZeroElse(hn::Eq(slope, zero), hn::Mul(through, slope)), past);
    if (step.grad_v_before_reset != nullptr) grad = hn::Add(grad, load(step.grad_v_before_reset));
    if (step.grad_charged != nullptr) StoreSome(d, grad, step.grad_charged + n, lanes);
    if (step.grad_dv != nullptr) StoreSome(d, hn::Mul(grad, slope_dv), step.grad_dv + n, lanes);
    StoreSome(d, hn::Mul(grad, slope_v), step.grad_v + n, lanes);
  }
}

void AnyStepBackward(const NeuronRule& rule, const SurrogateRule& surrogate, const BackwardStep& step) {
  switch (surrogate.kind) {
    case SurrogateRule::Kind::kSigmoid:
      return BackwardWith(rule, Sigmoid(surrogate), step);
    case SurrogateRule::Kind::kSignSwish:
      return BackwardWith(rule, SignSwish(surrogate), step);
    case SurrogateRule::Kind::kBilinearLeakyRelu:
      return BackwardWith(rule, BilinearLeakyRelu(surrogate), step);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AnyStepForward);
HWY_EXPORT(AnyStepBackward);

void StepForward(const NeuronRule& rule, const ForwardStep& step) { HWY_DYNAMIC_DISPATCH(AnyStepForward)(rule, step); }
void StepBackward(const NeuronRule& rule, const SurrogateRule& surrogate, const BackwardStep& step) {
  HWY_DYNAMIC_DISPATCH(AnyStepBackward)(rule, surrogate, step);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

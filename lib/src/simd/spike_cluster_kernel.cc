#include "simd/spike_cluster_kernel.h"

#include "simd/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/spike_cluster_kernel.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// v + 1 where the mask is set: one instruction whether masks are registers of their own (AVX-512) or vectors of -1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V CountWhere(D d, hn::Mask<D> mask, V v) {
#if HWY_TARGET <= HWY_AVX3
  return hn::IfThenElse(mask, hn::Add(v, hn::Set(d, 1)), v);
#else
  (void)d;
  return hn::Sub(v, hn::VecFromMask(d, mask));
#endif
}

// Takes the kVectors vectors of neurons from `first` on through all steps of the run; their state stays in registers
// meanwhile. Everything is free of branches: neurons differ in when they fire.
template <int kVectors, bool kSpikes, bool kCandidates, class D, typename Scalar = hn::TFromD<D>>
HWY_INLINE void AdvanceVectors(D d, const SpikeClusterRun<Scalar>& run, int64_t first,
                               SpikeClusterGroup<Scalar>* groups, hn::Vec<D>& sum) {
  using Group = SpikeClusterGroup<Scalar>;
  using DI = hn::RebindToSigned<D>;
  using Step = typename Group::Step;
  const DI di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  Group& group = groups[first / Group::kNeurons];
  const int64_t first_of_group = first % Group::kNeurons;

  hn::Vec<D> threshold[kVectors], lowest[kVectors], highest[kVectors], candidate[kVectors];
  hn::Vec<DI> last_spike[kVectors], clusters[kVectors], size[kVectors], smallest[kVectors], k_negative[kVectors],
      k_positive[kVectors];
  for (int i = 0; i < kVectors; ++i) {
    const int64_t n = first_of_group + i * lanes;
    last_spike[i] = hn::LoadU(di, group.last_spike + n);
    if constexpr (kSpikes) {
      threshold[i] = hn::LoadU(d, group.threshold + n);
      lowest[i] = hn::LoadU(d, group.lowest + n);
      highest[i] = hn::LoadU(d, group.highest + n);
      clusters[i] = hn::LoadU(di, group.clusters + n);
      size[i] = hn::LoadU(di, group.size + n);
      smallest[i] = hn::LoadU(di, group.smallest + n);
      k_negative[i] = hn::LoadU(di, group.k_negative + n);
    }
    if constexpr (kCandidates) {
      candidate[i] = hn::LoadU(d, group.candidate + n);
      k_positive[i] = hn::LoadU(di, group.k_positive + n);
    }
  }

  for (int step = 0; step < run.count; ++step) {
    if constexpr (kSpikes) {
      const Scalar* v = run.v[step] + first;
      const Scalar* ahead = run.v_ahead[step] + first;
      for (int64_t n = 0; n < kVectors * lanes; n += 64 / sizeof(Scalar)) hwy::Prefetch(ahead + n);
      const Step t = run.first_step + step;
      const auto t_now = hn::Set(di, t);
      const auto t_before = hn::Set(di, t - run.t_in);
      for (int i = 0; i < kVectors; ++i) {
        const auto v_now = hn::LoadU(d, v + i * lanes);
        lowest[i] = hn::Min(lowest[i], v_now);
        highest[i] = hn::Max(highest[i], v_now);
        sum = hn::Add(sum, v_now);
        const auto fires = hn::RebindMask(di, hn::Ge(v_now, threshold[i]));
        const auto opens = hn::And(fires, hn::Lt(last_spike[i], t_before));
        const auto ended = hn::And(opens, hn::Lt(size[i], smallest[i]));
        smallest[i] = hn::IfThenElse(ended, size[i], smallest[i]);
        k_negative[i] = hn::IfThenElse(ended, last_spike[i], k_negative[i]);
        clusters[i] = CountWhere(di, opens, clusters[i]);
        size[i] = CountWhere(di, fires, hn::IfThenZeroElse(opens, size[i]));
        last_spike[i] = hn::IfThenElse(fires, t_now, last_spike[i]);
      }
    }
    if constexpr (kCandidates) {
      // Step s is a candidate once the spikes up to s + t_in are known, and none of them is at s - t_in or later.
      const Scalar* v = run.v_candidate[step] + first;
      const Step s = run.first_candidate + step;
      const auto s_now = hn::Set(di, s);
      const auto s_before = hn::Set(di, s - run.t_in);
      for (int i = 0; i < kVectors; ++i) {
        const auto v_now = hn::LoadU(d, v + i * lanes);
        // Any voltage is better than NaN, which stands for none.
        const auto no_better = hn::RebindMask(di, hn::Le(v_now, candidate[i]));
        const auto better = hn::AndNot(no_better, hn::Lt(last_spike[i], s_before));
        candidate[i] = hn::IfThenElse(hn::RebindMask(d, better), v_now, candidate[i]);
        k_positive[i] = hn::IfThenElse(better, s_now, k_positive[i]);
      }
    }
  }

  for (int i = 0; i < kVectors; ++i) {
    const int64_t n = first_of_group + i * lanes;
    if constexpr (kSpikes) {
      hn::StoreU(lowest[i], d, group.lowest + n);
      hn::StoreU(highest[i], d, group.highest + n);
      hn::StoreU(last_spike[i], di, group.last_spike + n);
      hn::StoreU(clusters[i], di, group.clusters + n);
      hn::StoreU(size[i], di, group.size + n);
      hn::StoreU(smallest[i], di, group.smallest + n);
      hn::StoreU(k_negative[i], di, group.k_negative + n);
    }
    if constexpr (kCandidates) {
      hn::StoreU(candidate[i], d, group.candidate + n);
      hn::StoreU(k_positive[i], di, group.k_positive + n);
    }
  }
}

// Takes the neurons from `first` on through the run, in groups of kVectors vectors; those that are left in vectors of
// half as many lanes, and so on. Returns whether there may be a NaN.
template <int kVectors, bool kSpikes, bool kCandidates, class D, typename Scalar = hn::TFromD<D>>
HWY_INLINE bool AdvanceNeurons(D d, const SpikeClusterRun<Scalar>& run, int64_t first, int64_t neurons,
                               SpikeClusterGroup<Scalar>* groups) {
  const int64_t together = kVectors * static_cast<int64_t>(hn::Lanes(d));
  // A sum is NaN where one of its terms is: cheaper than a comparison for each. It may be NaN for infinities, too.
  auto sum = hn::Zero(d);
  for (; neurons - first >= together; first += together) {
    AdvanceVectors<kVectors, kSpikes, kCandidates>(d, run, first, groups, sum);
  }
  const bool maybe_nan = !hn::AllFalse(d, hn::IsNaN(sum));
  if (first == neurons) return maybe_nan;
  if constexpr (kVectors > 1) {
    return AdvanceNeurons<kVectors / 2, kSpikes, kCandidates>(d, run, first, neurons, groups) || maybe_nan;
  } else if constexpr (hn::MaxLanes(d) > 1) {
    const hn::CappedTag<Scalar, hn::MaxLanes(d) / 2> half;
    return AdvanceNeurons<1, kSpikes, kCandidates>(half, run, first, neurons, groups) || maybe_nan;
  }
  return maybe_nan;
}

template <typename Scalar>
HWY_INLINE bool AdvanceRun(const SpikeClusterRun<Scalar>& run, int64_t neurons, SpikeClusterGroup<Scalar>* groups) {
  // Two vectors: the state of more does not fit into the registers; with fewer, one instruction waits for another.
  constexpr int kVectors = 2;
  const hn::ScalableTag<Scalar> d;
  static_assert(kVectors * hn::MaxLanes(d) <= SpikeClusterGroup<Scalar>::kNeurons);
  if (!run.candidates) return AdvanceNeurons<kVectors, true, false>(d, run, 0, neurons, groups);
  if (!run.spikes) return AdvanceNeurons<kVectors, false, true>(d, run, 0, neurons, groups);
  return AdvanceNeurons<kVectors, true, true>(d, run, 0, neurons, groups);
}

bool AdvanceFloats(const SpikeClusterRun<float>& run, int64_t neurons, SpikeClusterGroup<float>* groups) {
  return AdvanceRun(run, neurons, groups);
}

bool AdvanceDoubles(const SpikeClusterRun<double>& run, int64_t neurons, SpikeClusterGroup<double>* groups) {
  return AdvanceRun(run, neurons, groups);
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AdvanceFloats);
HWY_EXPORT(AdvanceDoubles);

bool Advance(const SpikeClusterRun<float>& run, int64_t neurons, SpikeClusterGroup<float>* groups) {
  return HWY_DYNAMIC_DISPATCH(AdvanceFloats)(run, neurons, groups);
}

bool Advance(const SpikeClusterRun<double>& run, int64_t neurons, SpikeClusterGroup<double>* groups) {
  return HWY_DYNAMIC_DISPATCH(AdvanceDoubles)(run, neurons, groups);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

#include "simd/spike_cluster_kernel.h"

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

// Takes kVectors vectors of neurons through all steps of the run; their state stays in registers meanwhile. Everything
// is free of branches: neurons differ in when they fire.
template <int kVectors, bool kSpikes, bool kCandidates, class D, typename Scalar = hn::TFromD<D>>
HWY_INLINE void AdvanceVectors(D d, const SpikeClusterRun<Scalar>& run, int64_t first_neuron,
                               SpikeClusterBlock<Scalar>& block, hn::Vec<D>& lowest, hn::Vec<D>& sum) {
  using DI = hn::RebindToSigned<D>;
  using Step = typename SpikeClusterBlock<Scalar>::Step;
  const DI di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));

  hn::Vec<D> threshold[kVectors], highest[kVectors], candidate[kVectors];
  hn::Vec<DI> last_spike[kVectors], clusters[kVectors], size[kVectors], smallest[kVectors], k_negative[kVectors],
      k_positive[kVectors];
  for (int i = 0; i < kVectors; ++i) {
    const int64_t n = first_neuron + i * lanes;
    last_spike[i] = hn::LoadU(di, block.last_spike + n);
    if constexpr (kSpikes) {
      threshold[i] = hn::LoadU(d, block.threshold + n);
      highest[i] = hn::LoadU(d, block.highest + n);
      clusters[i] = hn::LoadU(di, block.clusters + n);
      size[i] = hn::LoadU(di, block.size + n);
      smallest[i] = hn::LoadU(di, block.smallest + n);
      k_negative[i] = hn::LoadU(di, block.k_negative + n);
    }
    if constexpr (kCandidates) {
      candidate[i] = hn::LoadU(d, block.candidate + n);
      k_positive[i] = hn::LoadU(di, block.k_positive + n);
    }
  }

  for (int step = 0; step < run.count; ++step) {
    if constexpr (kSpikes) {
      const Scalar* v = run.v[step] + first_neuron;
      const Scalar* ahead = run.v_ahead[step] + first_neuron;
      for (int64_t n = 0; n < kVectors * lanes; n += 64 / sizeof(Scalar)) hwy::Prefetch(ahead + n);
      const Step t = run.first_step + step;
      const auto t_now = hn::Set(di, t);
      const auto t_before = hn::Set(di, t - run.t_in);
      for (int i = 0; i < kVectors; ++i) {
        const auto v_now = hn::LoadU(d, v + i * lanes);
        lowest = hn::Min(lowest, v_now);
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
      const Scalar* v = run.v_candidate[step] + first_neuron;
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
    const int64_t n = first_neuron + i * lanes;
    if constexpr (kSpikes) {
      hn::StoreU(highest[i], d, block.highest + n);
      hn::StoreU(last_spike[i], di, block.last_spike + n);
      hn::StoreU(clusters[i], di, block.clusters + n);
      hn::StoreU(size[i], di, block.size + n);
      hn::StoreU(smallest[i], di, block.smallest + n);
      hn::StoreU(k_negative[i], di, block.k_negative + n);
    }
    if constexpr (kCandidates) {
      hn::StoreU(candidate[i], d, block.candidate + n);
      hn::StoreU(k_positive[i], di, block.k_positive + n);
    }
  }
}

// Takes the neurons from `first_neuron` on through the run, in groups of kVectors vectors; those that are left, in
// vectors of half as many lanes, and so on.
template <int kVectors, bool kSpikes, bool kCandidates, class D, typename Scalar = hn::TFromD<D>>
HWY_INLINE void AdvanceNeurons(D d, const SpikeClusterRun<Scalar>& run, int64_t first_neuron,
                               SpikeClusterBlock<Scalar>& block) {
  const int64_t neurons = kVectors * static_cast<int64_t>(hn::Lanes(d));
  if (block.width - first_neuron >= neurons) {
    auto lowest = hn::Set(d, block.lowest);
    // A sum is NaN where one of its terms is: cheaper than a comparison for each. It is NaN as well for infinities of
    // both signs, so it is only a reason to look closer.
    auto sum = hn::Zero(d);
    do {
      AdvanceVectors<kVectors, kSpikes, kCandidates>(d, run, first_neuron, block, lowest, sum);
      first_neuron += neurons;
    } while (block.width - first_neuron >= neurons);
    block.lowest = hn::GetLane(hn::MinOfLanes(d, lowest));
    block.maybe_nan |= !hn::AllFalse(d, hn::IsNaN(sum));
  }
  if constexpr (kVectors > 1) {
    AdvanceNeurons<kVectors / 2, kSpikes, kCandidates>(d, run, first_neuron, block);
  } else if constexpr (hn::MaxLanes(d) > 1) {
    AdvanceNeurons<1, kSpikes, kCandidates>(hn::CappedTag<Scalar, hn::MaxLanes(d) / 2>(), run, first_neuron, block);
  }
}

template <typename Scalar>
HWY_INLINE void AdvanceBlock(const SpikeClusterRun<Scalar>& run, SpikeClusterBlock<Scalar>& block) {
  // Two vectors: with more, their state does not fit into the registers; with fewer, one waits for the other.
  constexpr int kVectors = 2;
  const hn::ScalableTag<Scalar> d;
  if (!run.candidates) {
    AdvanceNeurons<kVectors, true, false>(d, run, 0, block);
  } else if (!run.spikes) {
    AdvanceNeurons<kVectors, false, true>(d, run, 0, block);
  } else {
    AdvanceNeurons<kVectors, true, true>(d, run, 0, block);
  }
}

void AdvanceFloats(const SpikeClusterRun<float>& run, SpikeClusterBlock<float>& block) { AdvanceBlock(run, block); }
void AdvanceDoubles(const SpikeClusterRun<double>& run, SpikeClusterBlock<double>& block) { AdvanceBlock(run, block); }

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::simd {

HWY_EXPORT(AdvanceFloats);
HWY_EXPORT(AdvanceDoubles);

void Advance(const SpikeClusterRun<float>& run, SpikeClusterBlock<float>& block) {
  HWY_DYNAMIC_DISPATCH(AdvanceFloats)(run, block);
}

void Advance(const SpikeClusterRun<double>& run, SpikeClusterBlock<double>& block) {
  HWY_DYNAMIC_DISPATCH(AdvanceDoubles)(run, block);
}

}  // namespace spikeserve::simd
#endif  // HWY_ONCE

// What the tests of spike clusters in one piece and in several share.

#ifndef SPIKESERVE_TESTS_LIB_SPIKE_CLUSTER_TESTING_H_
#define SPIKESERVE_TESTS_LIB_SPIKE_CLUSTER_TESTING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/spike_cluster.h"

namespace spikeserve::testing {

// The definition, and the corners of the reference on top of it, neuron by neuron with everything at hand.
template <typename Scalar>
SpikeClusters NaiveSpikeClusters(const RowMatrix<Scalar>& v, const std::vector<Scalar>& threshold,
                                 const SpikeClusterOptions& options) {
  const bool reference = options.rule == ClusterRule::kReference;
  const int steps = static_cast<int>(v.rows());
  const int first_step = reference && options.t_in == 0 ? 1 : 0;
  SpikeClusters result;
  for (int n = 0; n < v.cols(); ++n) {
    std::vector<int> spikes;
    for (int t = 0; t < steps; ++t) {
      if (v(t, n) >= threshold[threshold.size() == 1 ? 0 : n]) spikes.push_back(t);
    }
    std::vector<std::vector<int>> clusters;
    for (const int t : spikes) {
      if (t < first_step) continue;
      if (clusters.empty() || t - clusters.back().back() > options.t_in) clusters.emplace_back();
      clusters.back().push_back(t);
    }
    const auto smallest = std::min_element(clusters.begin(), clusters.end(),
                                           [](const auto& a, const auto& b) { return a.size() < b.size(); });
    int best = -1;
    for (int t = first_step; t < steps; ++t) {
      const bool apart =
          std::all_of(spikes.begin(), spikes.end(), [&](int s) { return std::abs(s - t) > options.t_in; });
      if (apart && (best < 0 || v(t, n) > v(best, n))) best = t;
    }
    if (reference && steps > 0) {
      const Scalar v_min = options.v_min ? static_cast<Scalar>(*options.v_min) : v.minCoeff();
      if (best >= 0 && v(best, n) == v_min) best = -1;
      if ((v.col(n).array() == v_min).all()) best = 0;
    }
    result.n_o.push_back(static_cast<float>(clusters.size()));
    result.k_positive.push_back(best);
    result.k_negative.push_back(smallest == clusters.end() ? -1 : smallest->back());
  }
  return result;
}

inline void ExpectEqual(const SpikeClusters& got, const SpikeClusters& expected) {
  EXPECT_EQ(got.n_o, expected.n_o);
  EXPECT_EQ(got.k_positive, expected.k_positive);
  EXPECT_EQ(got.k_negative, expected.k_negative);
}

// Voltages with what makes corners: ties, zeros of both signs, infinities, neurons that never change.
template <typename Scalar>
RowMatrix<Scalar> CorneredVoltages(int64_t steps, int64_t neurons, uint32_t seed) {
  RowMatrix<Scalar> v = (RandomNormal<Scalar>(steps, neurons, seed).array() * 2).round() / 2;  // Has -0 as well.
  std::mt19937 random(seed);
  for (int64_t i = 0; i < v.size() / 50; ++i) {
    const Scalar infinity = std::numeric_limits<Scalar>::infinity();
    v(static_cast<int64_t>(random()) % steps, static_cast<int64_t>(random()) % neurons) =
        random() % 2 == 0 ? infinity : -infinity;
  }
  for (int64_t n = 0; n < neurons; n += 7) {
    if (steps > 0) v.col(n).setConstant(v(0, n));
  }
  return v;
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_LIB_SPIKE_CLUSTER_TESTING_H_

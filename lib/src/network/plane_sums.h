// Sums over planes, in double and in an order of their own.

#ifndef SPIKESERVE_SRC_NETWORK_PLANE_SUMS_H_
#define SPIKESERVE_SRC_NETWORK_PLANE_SUMS_H_

#include <cstdint>

#include "stop_check.h"

namespace spikeserve {

// The sum of term(i) for i < count, or anything where the executor has stopped. Several sums side by side, which the
// compiler may keep in vectors.
template <class Term>
double SumOfTerms(int64_t count, StopCheck& stop, Term term) {
  constexpr int kSums = 8;
  double sums[kSums] = {};
  stop.ForPieces(count, [&](int64_t i, int64_t end) {
    for (; i + kSums <= end; i += kSums) {
      for (int k = 0; k < kSums; ++k) sums[k] += term(i + k);
    }
    for (int k = 0; i + k < end; ++k) sums[k] += term(i + k);
  });
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

inline double Sum(const float* values, int64_t count, StopCheck& stop) {
  return SumOfTerms(count, stop, [values](int64_t i) { return static_cast<double>(values[i]); });
}

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_PLANE_SUMS_H_

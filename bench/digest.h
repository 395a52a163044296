// A few numbers of results, by which those of different programs are compared.

#ifndef SPIKESERVE_BENCH_DIGEST_H_
#define SPIKESERVE_BENCH_DIGEST_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "spikeserve/compute/tensor.h"

namespace spikeserve::bench {

// The sum of the elements' magnitudes, each times its row-major position modulo 97; of a single element its value.
template <typename Values>
double Digest(const Values& values) {
  if (values.size() == 1) return static_cast<double>(*values.begin());
  double sum = 0;
  size_t i = 0;
  for (const auto& value : values) sum += std::abs(static_cast<double>(value)) * static_cast<double>(i++ % 97);
  return sum;
}

inline double Digest(const Tensor& tensor) { return Digest(tensor.ToDoubles()); }

// The position of the first 1 of each row of the mask [*, T], -1 in rows without one.
inline std::vector<int32_t> FirstOnes(const Tensor& mask) {
  const std::vector<double> elements = mask.ToDoubles();
  const auto cols = static_cast<size_t>(mask.shape().back());
  std::vector<int32_t> first(elements.size() / cols, -1);
  for (size_t i = elements.size(); i-- > 0;) {
    if (elements[i] != 0) first[i / cols] = static_cast<int32_t>(i % cols);
  }
  return first;
}

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_DIGEST_H_

#include "network/constant_input.h"

#include <algorithm>
#include <cstring>

#include "network/network_layer.h"

namespace spikeserve {

bool IsConstant(absl::Span<const float> values, int64_t steps) {
  if (steps < 2) return false;
  // Each step is the one before it.
  const size_t size = values.size() / static_cast<size_t>(steps);
  return std::memcmp(values.data(), values.data() + size, (values.size() - size) * sizeof(float)) == 0;
}

void RepeatFirstStep(absl::Span<float> values, int64_t steps, Executor& executor) {
  const int64_t size = static_cast<int64_t>(values.size()) / steps;
  float* const others = values.data() + size;
  executor.ParallelFor((steps - 1) * size, kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t count = std::min(end - i, size - i % size);
      std::copy_n(values.data() + i % size, count, others + i);
      i += count;
    }
  });
}

ScratchFloats SumOfSteps(absl::Span<const float> values, int64_t steps, Executor& executor) {
  const int64_t size = static_cast<int64_t>(values.size()) / steps;
  ScratchFloats sums(static_cast<size_t>(size));
  executor.ParallelFor(size, kElementGrain / steps + 1, [&](int64_t begin, int64_t end) {
    float* sum = sums.data();
    std::copy(values.data() + begin, values.data() + end, sum + begin);
    for (int64_t t = 1; t < steps; ++t) {
      const float* step = values.data() + t * size;
      for (int64_t i = begin; i < end; ++i) sum[i] += step[i];
    }
  });
  return sums;
}

}  // namespace spikeserve

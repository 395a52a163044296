// Passes over elements that are too many to be one piece of work.

#ifndef SPIKESERVE_SRC_NETWORK_ELEMENT_LOOPS_H_
#define SPIKESERVE_SRC_NETWORK_ELEMENT_LOOPS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "network/network_layer.h"
#include "simd/transpose.h"
#include "spikeserve/compute/executor.h"
#include "stop_check.h"

namespace spikeserve {

// To the first elements of `to`.
inline void CopyElements(absl::Span<const float> from, absl::Span<float> to, Executor& executor) {
  executor.ParallelFor(static_cast<int64_t>(from.size()), kElementGrain, [&](int64_t begin, int64_t end) {
    std::copy(from.begin() + begin, from.begin() + end, to.begin() + begin);
  });
}

// Adds the elements to the end of a vector that has room for them; or some of them, where the executor has stopped.
template <typename T>
void AppendElements(absl::Span<const float> elements, StopCheck& stop, std::vector<T>& to) {
  stop.ForPieces(static_cast<int64_t>(elements.size()), [&](int64_t begin, int64_t end) {
    to.insert(to.end(), elements.begin() + begin, elements.begin() + end);
  });
}

// to[c * to_stride + r] = from[r * from_stride + c], for r < rows and c < cols.
inline void TransposeElements(const float* from, int64_t from_stride, int64_t rows, int64_t cols, float* to,
                              int64_t to_stride, Executor& executor) {
  // Lines of the cache are written whole.
  constexpr int64_t kBand = 16;
  executor.ParallelFor((rows + kBand - 1) / kBand, kElementGrain / (kBand * cols) + 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kBand;
    simd::Transpose(from + first * from_stride, from_stride, std::min(rows, end * kBand) - first, cols, nullptr,
                    to + first, to_stride);
  });
}

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_ELEMENT_LOOPS_H_

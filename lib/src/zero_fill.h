// Fills results with zeros, in pieces that are worth a task.

#ifndef SPIKESERVE_COMPUTE_SRC_ZERO_FILL_H_
#define SPIKESERVE_COMPUTE_SRC_ZERO_FILL_H_

#include <cstdint>
#include <cstring>

#include "spikeserve/compute/executor.h"

namespace spikeserve {

// So many bytes are worth a task of their own. Large, because one thread nearly fills the memory's bandwidth; and the C
// library's memset chooses the stores that do so only for large pieces.
inline constexpr int64_t kZeroedBytesPerTask = 1 << 20;

inline void ZeroFill(void* data, int64_t bytes, Executor& executor) {
  executor.ParallelFor(bytes, kZeroedBytesPerTask, [data](int64_t begin, int64_t end) {
    std::memset(static_cast<char*>(data) + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_ZERO_FILL_H_

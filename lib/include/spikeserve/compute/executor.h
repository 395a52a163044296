// How compute functions get threads, and learn that they may stop: they are handed an executor, and start no threads
// themselves.

#ifndef SPIKESERVE_COMPUTE_EXECUTOR_H_
#define SPIKESERVE_COMPUTE_EXECUTOR_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace spikeserve {

// Thread rule: ParallelFor may be called from any thread, also from inside of `body`.
class Executor {
 public:
  virtual ~Executor() = default;

  // Calls body(begin, end) for consecutive ranges that cover [0, count), each of at least `grain` (>= 1) indices but
  // for the last, possibly from several threads at once. Returns when all have returned.
  virtual void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t begin, int64_t end)> body) = 0;

  // Whether nobody wants the results any more. Then they may be anything, and so may what loops of this executor have
  // left: it runs no bodies from then on. Whoever computes for more than some milliseconds outside of such loops, or in
  // one body, asks now and then. Once true it stays true. Thread-safe.
  virtual bool Stopped() { return false; }
};

// Runs everything in the calling thread. The default of every compute function.
Executor& InlineExecutor();

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_EXECUTOR_H_

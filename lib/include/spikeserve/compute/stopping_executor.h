// Computations that end when nobody waits for them.

#ifndef SPIKESERVE_COMPUTE_STOPPING_EXECUTOR_H_
#define SPIKESERVE_COMPUTE_STOPPING_EXECUTOR_H_

#include <atomic>
#include <cstdint>
#include <mutex>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// The threads of another executor for as long as `wanted` says OK. It is asked before each part of a loop, from any
// thread, and never again when it has said something else. From then on the executor runs nothing: a computation of
// many loops is soon through with them, and its results are not to be used.
class StoppingExecutor final : public Executor {
 public:
  // Both must outlive this.
  StoppingExecutor(Executor& threads, absl::FunctionRef<absl::Status()> wanted) : threads_(threads), wanted_(wanted) {}

  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t begin, int64_t end)> body) override;
  bool Stopped() override { return has_stopped() || !Ask().ok(); }

  // Asks, too; the error is always the first one that `wanted` gave. Thread-safe.
  absl::Status Ask();

  // Whether it has stopped before; does not ask.
  bool has_stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  Executor& threads_;
  const absl::FunctionRef<absl::Status()> wanted_;
  // To ask costs more than to remember.
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  absl::Status error_;  // Guarded by mutex_; OK until stopped_.
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_STOPPING_EXECUTOR_H_

// The threads that compute.

#ifndef SPIKESERVE_SERVER_RUNTIME_COMPUTE_POOL_H_
#define SPIKESERVE_SERVER_RUNTIME_COMPUTE_POOL_H_

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve::server {

// A fixed number of threads (oneTBB). Tasks begin in the order of Submit; a task may split its work over the threads
// that are idle with ParallelFor.
//
// Thread-safe. The destructor waits until every submitted task has ended.
class ComputePool : public Executor {
 public:
  // `threads` >= 1.
  explicit ComputePool(int threads);
  ~ComputePool() override;

  void Submit(std::function<void()> task);

  // Waits until every submitted task has ended, also those that tasks submit.
  void Wait();

  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) override;

  // Whether the calling thread is in a task of any pool.
  static bool InTask();

 private:
  struct Arena;
  std::unique_ptr<Arena> arena_;
  absl::Mutex mutex_;
  // Tasks that were submitted and have not ended.
  int64_t pending_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_COMPUTE_POOL_H_

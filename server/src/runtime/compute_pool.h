// The threads that compute.

#ifndef SPIKESERVE_SERVER_RUNTIME_COMPUTE_POOL_H_
#define SPIKESERVE_SERVER_RUNTIME_COMPUTE_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/functional/function_ref.h"
#include "runtime/tbb_arena.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve::server {

// A fixed number of threads (oneTBB). Tasks begin in the order of Submit; a task may split its work with ParallelFor
// over the threads that are idle. A thread that helps goes over to a task that waits as soon as its part has ended, so
// that a long loop does not keep others waiting.
//
// Thread-safe. The destructor waits until every submitted task has ended.
class ComputePool : public Executor {
 public:
  // `threads` >= 1.
  explicit ComputePool(int threads);
  ~ComputePool() override;

  // Without memory for a task, it runs in the calling thread before this returns.
  void Submit(std::function<void()> run);

  // Waits until every submitted task has ended, also those that tasks submit.
  void Wait();

  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) override;

  // The tasks that were submitted and have not begun.
  int64_t waiting() const { return waiting_; }

  // The threads that loops have asked for and not got: at most as many as there are threads, however many loops.
  int helpers_waiting() const;

  // Whether the calling thread is in a task of any pool.
  static bool InTask();

 private:
  struct Task;
  struct Loop;
  // False, with `run` as it was, where there is no memory for a task. `submitted`: it counts as waiting until it
  // begins.
  bool Enqueue(std::function<void()>& run, bool submitted);
  static void RunTask(std::unique_ptr<Task> task);
  // Counts tasks that are to end, or have ended.
  void CountPending(int64_t more);
  // Enqueues threads that help whichever loops are open when their turn comes, fewer where enough wait for theirs.
  void AskForHelpers(int64_t wanted);
  // What such a thread does.
  void Help();

  // A helper computes parts of the loop that Enter gives, nullptr where none has any left, until Leave.
  Loop* Enter();
  void Leave(Loop& loop);
  // Waits until no helper computes parts of the loop, and lets none in any more.
  void Close(Loop& loop);

  const int threads_;
  TbbArena arena_;
  // Tasks that were submitted and have not begun.
  std::atomic<int64_t> waiting_{0};
  mutable std::mutex mutex_;
  // All guarded by mutex_.
  //
  // Tasks that were submitted and have not ended, helpers among them.
  int64_t pending_ = 0;
  // Helpers that were enqueued and have not begun.
  int helpers_waiting_ = 0;
  // Those that were called and have not returned.
  std::vector<Loop*> loops_;
  // Notified, under mutex_, when none is pending.
  std::condition_variable all_ended_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_COMPUTE_POOL_H_

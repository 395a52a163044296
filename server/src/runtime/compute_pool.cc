#include "runtime/compute_pool.h"

#include <algorithm>
#include <utility>

#include "oneapi/tbb/blocked_range.h"
#include "oneapi/tbb/global_control.h"
#include "oneapi/tbb/parallel_for.h"
#include "oneapi/tbb/task_arena.h"

namespace spikeserve::server {
namespace {

thread_local bool in_task = false;

}  // namespace

bool ComputePool::InTask() { return in_task; }

struct ComputePool::Arena {
  // All slots are for the library's own workers, none for threads that join: those that submit never compute. One
  // worker more than the slots is allowed in the process, because oneTBB counts its main thread.
  explicit Arena(int threads)
      : control(tbb::global_control::max_allowed_parallelism, threads + 1),
        arena(threads, /*reserved_for_masters=*/0) {}
  tbb::global_control control;
  tbb::task_arena arena;
};

ComputePool::ComputePool(int threads) : arena_(std::make_unique<Arena>(threads)) {}

ComputePool::~ComputePool() { Wait(); }

void ComputePool::Wait() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](int64_t* pending) { return *pending == 0; }, &pending_));
}

void ComputePool::Submit(std::function<void()> task) {
  {
    absl::MutexLock lock(&mutex_);
    ++pending_;
  }
  // Shared, because oneTBB calls its copy of the lambda as a const one.
  arena_->arena.enqueue([this, shared = std::make_shared<std::function<void()>>(std::move(task))] {
    in_task = true;
    (*shared)();
    *shared = nullptr;  // What it holds goes before Wait may return.
    in_task = false;
    absl::MutexLock lock(&mutex_);
    --pending_;
  });
}

void ComputePool::ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) {
  if (count <= grain) {
    if (count > 0) body(0, count);
    return;
  }
  // Isolated: a thread that waits for the others' parts takes up no task of another call meanwhile.
  tbb::this_task_arena::isolate([&] {
    // Split in units of `grain` indices, so that no part is smaller.
    tbb::parallel_for(
        tbb::blocked_range<int64_t>(0, (count + grain - 1) / grain),
        [&](const tbb::blocked_range<int64_t>& r) { body(r.begin() * grain, std::min(count, r.end() * grain)); });
  });
}

}  // namespace spikeserve::server

#include "runtime/compute_pool.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "runtime/happens_before.h"

namespace spikeserve::server {
namespace {

thread_local bool in_task = false;

// What the threads of a ParallelFor share.
struct Loop {
  int64_t count;
  int64_t grain;
  absl::FunctionRef<void(int64_t, int64_t)> body;
  // What comes before the end of each part comes before the end of the loop. Not the loop's own address, which would
  // order the parts among each other.
  char ended = 0;

  // In units of `grain` indices, so that no part is smaller.
  static void RunPart(const void* self, int64_t begin, int64_t end) {
    HappensAfter(self);
    const Loop& loop = *static_cast<const Loop*>(self);
    loop.body(begin * loop.grain, std::min(loop.count, end * loop.grain));
    HappensBefore(&loop.ended);
  }
};

}  // namespace

bool ComputePool::InTask() { return in_task; }

// A task on its way through the arena.
struct ComputePool::Task {
  ComputePool& pool;
  std::function<void()> run;
};

ComputePool::ComputePool(int threads) : arena_(threads) {}

ComputePool::~ComputePool() { Wait(); }

void ComputePool::Wait() {
  std::unique_lock lock(mutex_);
  all_ended_.wait(lock, [this] { return pending_ == 0; });
}

void ComputePool::Submit(std::function<void()> run) {
  {
    const std::lock_guard lock(mutex_);
    ++pending_;
  }
  auto task = std::make_unique<Task>(Task{*this, std::move(run)});
  HappensBefore(task.get());
  arena_.Enqueue(
      [](void* task) {
        HappensAfter(task);
        RunTask(std::unique_ptr<Task>(static_cast<Task*>(task)));
      },
      task.release());
}

void ComputePool::RunTask(std::unique_ptr<Task> task) {
  ComputePool& pool = task->pool;
  in_task = true;
  task->run();
  task.reset();  // What it holds goes before Wait may return.
  in_task = false;
  const std::lock_guard lock(pool.mutex_);
  if (--pool.pending_ == 0) pool.all_ended_.notify_all();
}

void ComputePool::ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) {
  if (count <= grain) {
    if (count > 0) body(0, count);
    return;
  }
  const Loop loop{count, grain, body};
  HappensBefore(&loop);
  TbbArena::ParallelFor((count + grain - 1) / grain, Loop::RunPart, &loop);
  HappensAfter(&loop.ended);
}

}  // namespace spikeserve::server

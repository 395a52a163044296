#include "runtime/compute_pool.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "runtime/happens_before.h"

namespace spikeserve::server {
namespace {

thread_local bool in_task = false;

}  // namespace

bool ComputePool::InTask() { return in_task; }

// A task on its way through the arena.
struct ComputePool::Task {
  ComputePool& pool;
  std::function<void()> run;
  bool submitted;
};

// A ParallelFor: the thread that called it and helpers take parts, one after the other, until there are none.
struct ComputePool::Loop {
  Loop(int64_t count_in, int64_t grain_in, absl::FunctionRef<void(int64_t, int64_t)> body_in)
      : count(count_in), grain(grain_in), body(body_in) {}

  // Takes a part and computes it; false where there was none left. What it throws ends the loop.
  bool RunPart() {
    const int64_t begin = next.fetch_add(grain);
    if (begin >= count) return false;
    try {
      body(begin, std::min(count, begin + grain));
    } catch (...) {
      next = count;
      if (!threw.exchange(true)) thrown = std::current_exception();
    }
    return true;
  }
  bool done() const { return next.load() >= count; }

  const int64_t count;
  const int64_t grain;
  const absl::FunctionRef<void(int64_t, int64_t)> body;
  std::atomic<int64_t> next{0};
  // Thrown by the first part that threw; read when all have ended.
  std::atomic<bool> threw{false};
  std::exception_ptr thrown;
  // Both of the pool's mutex. The helpers in it, and the notice that the last of them left.
  int helpers = 0;
  std::condition_variable left;
};

ComputePool::ComputePool(int threads) : threads_(threads), arena_(threads) {}

ComputePool::~ComputePool() { Wait(); }

void ComputePool::Wait() {
  std::unique_lock lock(mutex_);
  all_ended_.wait(lock, [this] { return pending_ == 0; });
}

int ComputePool::helpers_waiting() const {
  const std::lock_guard lock(mutex_);
  return helpers_waiting_;
}

void ComputePool::Submit(std::function<void()> run) {
  ++waiting_;
  if (Enqueue(run, /*submitted=*/true)) return;
  --waiting_;
  CountPending(1);
  const bool in_task_before = std::exchange(in_task, true);
  run();
  run = nullptr;
  in_task = in_task_before;
  CountPending(-1);
}

bool ComputePool::Enqueue(std::function<void()>& run, bool submitted) {
  CountPending(1);
  std::unique_ptr<Task> task(new (std::nothrow) Task{*this, std::move(run), submitted});
  if (task != nullptr) {
    HappensBefore(task.get());
    try {
      arena_.Enqueue(
          [](void* task) {
            HappensAfter(task);
            RunTask(std::unique_ptr<Task>(static_cast<Task*>(task)));
          },
          task.get());
      task.release();
      return true;
    } catch (const std::bad_alloc&) {
      run = std::move(task->run);
    }
  }
  CountPending(-1);
  return false;
}

void ComputePool::RunTask(std::unique_ptr<Task> task) {
  ComputePool& pool = task->pool;
  if (task->submitted) --pool.waiting_;
  in_task = true;
  task->run();
  task.reset();  // What it holds goes before Wait may return.
  in_task = false;
  pool.CountPending(-1);
}

void ComputePool::CountPending(int64_t more) {
  const std::lock_guard lock(mutex_);
  pending_ += more;
  if (pending_ == 0) all_ended_.notify_all();
}

void ComputePool::ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) {
  if (count <= grain) {
    if (count > 0) body(0, count);
    return;
  }
  Loop loop(count, grain, body);
  {
    const std::lock_guard lock(mutex_);
    loops_.push_back(&loop);
  }
  const int64_t parts = (count - 1) / grain + 1;
  AskForHelpers(std::min<int64_t>(threads_, parts) - 1);
  while (loop.RunPart()) {
  }
  Close(loop);
  if (loop.thrown != nullptr) std::rethrow_exception(loop.thrown);
}

void ComputePool::AskForHelpers(int64_t wanted) {
  for (int64_t asked = 0; asked < wanted; ++asked) {
    {
      const std::lock_guard lock(mutex_);
      if (helpers_waiting_ >= threads_) return;
      ++helpers_waiting_;
    }
    std::function<void()> help = [this] { Help(); };
    if (Enqueue(help, /*submitted=*/false)) continue;
    // No memory for it: the loop does without.
    const std::lock_guard lock(mutex_);
    --helpers_waiting_;
    return;
  }
}

void ComputePool::Help() {
  {
    const std::lock_guard lock(mutex_);
    --helpers_waiting_;
  }
  while (Loop* const loop = Enter()) {
    // Whoever waits comes first: a long loop has one thread of its own, and shares the others part by part.
    bool more = true;
    while (more && waiting_ == 0) more = loop->RunPart();
    Leave(*loop);
    if (more) return AskForHelpers(1);
  }
}

ComputePool::Loop* ComputePool::Enter() {
  const std::lock_guard lock(mutex_);
  Loop* entered = nullptr;
  for (Loop* loop : loops_) {
    if (!loop->done() && (entered == nullptr || loop->helpers < entered->helpers)) entered = loop;
  }
  if (entered != nullptr) ++entered->helpers;
  return entered;
}

void ComputePool::Leave(Loop& loop) {
  // Under the lock to its end: the loop may be gone after it.
  const std::lock_guard lock(mutex_);
  if (--loop.helpers == 0) loop.left.notify_all();
}

void ComputePool::Close(Loop& loop) {
  std::unique_lock lock(mutex_);
  std::erase(loops_, &loop);
  loop.left.wait(lock, [&] { return loop.helpers == 0; });
}

}  // namespace spikeserve::server

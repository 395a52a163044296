#include "runtime/compute_pool.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

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
};

// A ParallelFor: the thread that called it and helpers take parts, one after the other, until there are none.
struct ComputePool::Loop {
  Loop(int64_t count_in, int64_t grain_in, absl::FunctionRef<void(int64_t, int64_t)> body_in)
      : count(count_in), grain(grain_in), body(body_in) {}

  // Takes a part and computes it; false where there was none left. What it throws ends the loop, and is thrown where
  // the loop was called.
  bool RunPart() {
    const int64_t begin = next.fetch_add(grain);
    if (begin >= count) return false;
    try {
      body(begin, std::min(count, begin + grain));
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (thrown == nullptr) thrown = std::current_exception();
    }
    return true;
  }
  bool done() const { return next.load() >= count; }

  // A helper calls RunPart only after Enter, and until Leave. Enter fails when all parts are taken: then `body` may be
  // gone.
  bool Enter() {
    const std::lock_guard lock(mutex);
    if (closed) return false;
    ++helpers;
    return true;
  }
  void Leave() {
    const std::lock_guard lock(mutex);
    if (--helpers == 0) left.notify_all();
  }
  // Waits until no helper computes, and lets none in any more.
  void Close() {
    std::unique_lock lock(mutex);
    closed = true;
    left.wait(lock, [this] { return helpers == 0; });
  }

  const int64_t count;
  const int64_t grain;
  const absl::FunctionRef<void(int64_t, int64_t)> body;
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  // All guarded by mutex.
  int helpers = 0;
  bool closed = false;
  std::exception_ptr thrown;
  std::condition_variable left;
};

ComputePool::ComputePool(int threads) : threads_(threads), arena_(threads) {}

ComputePool::~ComputePool() { Wait(); }

void ComputePool::Wait() {
  std::unique_lock lock(mutex_);
  all_ended_.wait(lock, [this] { return pending_ == 0; });
}

void ComputePool::Submit(std::function<void()> run) {
  ++waiting_;
  Enqueue([this, run = std::move(run)] {
    --waiting_;
    run();
  });
}

void ComputePool::Enqueue(std::function<void()> run) {
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
  const auto loop = std::make_shared<Loop>(count, grain, body);
  const int64_t parts = (count - 1) / grain + 1;
  for (int64_t helper = 1; helper < std::min<int64_t>(threads_, parts); ++helper) Help(loop);
  while (loop->RunPart()) {
  }
  loop->Close();
  if (loop->thrown != nullptr) std::rethrow_exception(loop->thrown);
}

void ComputePool::Help(std::shared_ptr<Loop> loop) {
  Enqueue([this, loop = std::move(loop)] {
    if (!loop->Enter()) return;
    // Whoever waits comes first: a long loop has one thread of its own, and shares the others part by part.
    bool more = true;
    while (more && waiting_ == 0) more = loop->RunPart();
    loop->Leave();
    if (more && !loop->done()) Help(loop);
  });
}

}  // namespace spikeserve::server

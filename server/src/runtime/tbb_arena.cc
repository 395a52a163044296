#include "runtime/tbb_arena.h"

#include "oneapi/tbb/blocked_range.h"
#include "oneapi/tbb/global_control.h"
#include "oneapi/tbb/parallel_for.h"
#include "oneapi/tbb/task_arena.h"

namespace spikeserve::server {

struct TbbArena::Impl {
  // All slots are for the library's own workers, none for threads that join: those that submit never compute. One
  // worker more than the slots is allowed in the process, because oneTBB counts its main thread.
  explicit Impl(int threads)
      : control(tbb::global_control::max_allowed_parallelism, threads + 1),
        arena(threads, /*reserved_for_masters=*/0) {}
  tbb::global_control control;
  tbb::task_arena arena;
};

TbbArena::TbbArena(int threads) : impl_(std::make_unique<Impl>(threads)) {}

TbbArena::~TbbArena() = default;

void TbbArena::Enqueue(void (*run)(void* task), void* task) {
  impl_->arena.enqueue([run, task] { run(task); });
}

void TbbArena::ParallelFor(int64_t count, void (*run_part)(const void* loop, int64_t begin, int64_t end),
                           const void* loop) {
  // Isolated, so that a thread that waits takes up nothing else.
  tbb::this_task_arena::isolate([&] {
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, count), [run_part, loop](const tbb::blocked_range<int64_t>& part) {
      run_part(loop, part.begin(), part.end());
    });
  });
}

}  // namespace spikeserve::server

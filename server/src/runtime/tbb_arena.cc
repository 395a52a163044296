#include "runtime/tbb_arena.h"

#include <stdexcept>

#include "oneapi/tbb/global_control.h"
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
  try {
    impl_->arena.enqueue([run, task] { run(task); });
  } catch (const std::runtime_error&) {
    // Another worker could not be started, after the task was taken: it is for those that there are.
  }
}

}  // namespace spikeserve::server

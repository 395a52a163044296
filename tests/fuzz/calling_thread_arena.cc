// The threads of the compute pool, for a fuzzer: the one that calls. An input then takes the same way each time, which
// a fuzzer learns from; and no thread waits until another one wakes, which takes longer than most calls. Linked in
// place of tbb_arena.cc; ordinary tests run the corpus on oneTBB's threads.

#include <deque>
#include <memory>
#include <utility>

#include "runtime/tbb_arena.h"

namespace spikeserve::server {

// For one thread.
struct TbbArena::Impl {
  // The first is the one that runs.
  std::deque<std::pair<void (*)(void*), void*>> tasks;
};

TbbArena::TbbArena(int /*threads*/) : impl_(std::make_unique<Impl>()) {}

TbbArena::~TbbArena() = default;

// One that a task enqueues runs when that has ended, as on one thread of a pool.
void TbbArena::Enqueue(void (*run)(void* task), void* task) {
  auto& tasks = impl_->tasks;
  tasks.emplace_back(run, task);
  if (tasks.size() > 1) return;
  for (; !tasks.empty(); tasks.pop_front()) tasks.front().first(tasks.front().second);
}

}  // namespace spikeserve::server

// The part of oneTBB that the compute pool uses.

#ifndef SPIKESERVE_SERVER_RUNTIME_TBB_ARENA_H_
#define SPIKESERVE_SERVER_RUNTIME_TBB_ARENA_H_

#include <cstdint>
#include <memory>

namespace spikeserve::server {

// A fixed number of threads of oneTBB.
//
// Thread-safe. tbb_arena.cc is the only file that compiles oneTBB's templates, and nothing else: it is built without
// ThreadSanitizer, as Debian's oneTBB is, and whoever calls tells of the orders between threads (happens_before.h).
class TbbArena {
 public:
  // `threads` >= 1.
  explicit TbbArena(int threads);
  // Does not wait for what was enqueued.
  ~TbbArena();

  // Calls run(task) in one of the threads, later; in the order of Enqueue. Without memory for it, throws std::bad_alloc
  // and does nothing.
  void Enqueue(void (*run)(void* task), void* task);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_TBB_ARENA_H_

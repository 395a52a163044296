// Tasks that run one after the other.

#ifndef SPIKESERVE_SERVER_RUNTIME_STRAND_H_
#define SPIKESERVE_SERVER_RUNTIME_STRAND_H_

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "runtime/compute_pool.h"

namespace spikeserve::server {

// Runs tasks on a pool, one at a time, in the order of Post, without holding a thread while none is due.
//
// Thread-safe. Owned by a shared_ptr, which posted tasks keep alive.
class Strand : public std::enable_shared_from_this<Strand> {
 public:
  // `pool` must outlive the strand.
  explicit Strand(ComputePool& pool) : pool_(pool) {}

  void Post(std::function<void()> task);

  // Whether a task waits or runs.
  bool busy() const;

 private:
  void RunFirst();

  ComputePool& pool_;
  mutable std::mutex mutex_;
  // The first is the one that runs, or is submitted to the pool. Guarded by mutex_.
  std::deque<std::function<void()>> tasks_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STRAND_H_

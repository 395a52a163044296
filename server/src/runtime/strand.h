// Tasks that run one after the other.

#ifndef SPIKESERVE_SERVER_RUNTIME_STRAND_H_
#define SPIKESERVE_SERVER_RUNTIME_STRAND_H_

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "runtime/compute_pool.h"

namespace spikeserve::server {

// Runs tasks, on a pool if not said otherwise, one at a time, in the order of Post, without holding a thread while none
// is due.
//
// Thread-safe. Owned by a shared_ptr, which posted tasks keep alive.
class Strand : public std::enable_shared_from_this<Strand> {
 public:
  // `pool` must outlive the strand.
  explicit Strand(ComputePool& pool) : pool_(pool) {}

  void Post(std::function<void()> task);

  // The same, but in the calling thread, before it returns, where no other task waits or runs.
  void RunOrPost(std::function<void()> task);

  // Whether a task waits or runs.
  bool busy() const;

 private:
  // Adds a task; whether it is the first one, which the caller has to see to.
  bool Add(std::function<void()> task);
  void RunFirst();
  void SubmitFirst();

  ComputePool& pool_;
  mutable std::mutex mutex_;
  // The first is the one that runs, or is about to. Guarded by mutex_.
  std::deque<std::function<void()>> tasks_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STRAND_H_

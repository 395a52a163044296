#include "runtime/strand.h"

#include <utility>

namespace spikeserve::server {

void Strand::Post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;
  }
  pool_.Submit([self = shared_from_this()] { self->RunFirst(); });
}

bool Strand::busy() const {
  const std::lock_guard lock(mutex_);
  return !tasks_.empty();
}

void Strand::RunFirst() {
  std::function<void()> task;
  {
    const std::lock_guard lock(mutex_);
    task = std::move(tasks_.front());
  }
  task();
  task = nullptr;
  {
    const std::lock_guard lock(mutex_);
    tasks_.pop_front();
    if (tasks_.empty()) return;
  }
  // By way of the pool, not in a loop: other calls get their turn.
  pool_.Submit([self = shared_from_this()] { self->RunFirst(); });
}

}  // namespace spikeserve::server

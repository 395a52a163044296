#include "runtime/strand.h"

#include <utility>

namespace spikeserve::server {

void Strand::Post(std::function<void()> task) {
  if (Add(std::move(task))) SubmitFirst();
}

void Strand::RunOrPost(std::function<void()> task) {
  const auto self = shared_from_this();
  if (Add(std::move(task))) RunFirst();
}

bool Strand::busy() const {
  const std::lock_guard lock(mutex_);
  return !tasks_.empty();
}

bool Strand::Add(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  return tasks_.size() == 1;
}

void Strand::SubmitFirst() {
  pool_.Submit([self = shared_from_this()] { self->RunFirst(); });
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
  SubmitFirst();
}

}  // namespace spikeserve::server

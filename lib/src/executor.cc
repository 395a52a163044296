#include "spikeserve/compute/executor.h"

#include <algorithm>
#include <utility>

#include "spikeserve/compute/stopping_executor.h"

namespace spikeserve {
namespace {

class CallingThread : public Executor {
 public:
  void ParallelFor(int64_t count, int64_t /*grain*/,
                   absl::FunctionRef<void(int64_t begin, int64_t end)> body) override {
    if (count > 0) body(0, count);
  }
};

}  // namespace

void StoppingExecutor::ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) {
  if (has_stopped()) return;
  threads_.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b += grain) {
      if (Stopped()) return;
      body(b, std::min(b + grain, end));
    }
  });
}

absl::Status StoppingExecutor::Ask() {
  absl::Status error;
  if (!has_stopped()) {
    error = wanted_();
    if (error.ok()) return error;
  }
  const std::lock_guard lock(mutex_);
  if (error_.ok()) error_ = std::move(error);
  stopped_.store(true, std::memory_order_relaxed);
  return error_;
}

Executor& InlineExecutor() {
  static CallingThread executor;
  return executor;
}

}  // namespace spikeserve

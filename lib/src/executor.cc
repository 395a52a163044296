#include "spikeserve/compute/executor.h"

#include <algorithm>

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
  if (Stopped()) return;
  threads_.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b += grain) {
      if (Stopped()) return;
      body(b, std::min(b + grain, end));
    }
  });
}

bool StoppingExecutor::Stopped() {
  if (stopped_.load(std::memory_order_relaxed)) return true;
  if (wanted_().ok()) return false;
  stopped_.store(true, std::memory_order_relaxed);
  return true;
}

Executor& InlineExecutor() {
  static CallingThread executor;
  return executor;
}

}  // namespace spikeserve

#include "spikeserve/compute/executor.h"

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

Executor& InlineExecutor() {
  static CallingThread executor;
  return executor;
}

}  // namespace spikeserve

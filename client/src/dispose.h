// Destroying what must not be destroyed in a callback.

#ifndef SPIKESERVE_CLIENT_DISPOSE_H_
#define SPIKESERVE_CLIENT_DISPOSE_H_

#include <thread>

#include "runtime/compute_pool.h"

namespace spikeserve {

// Marks the calling thread as one that runs a callback of gRPC while the object lives.
class CallbackScope {
 public:
  CallbackScope() { ++depth_; }
  ~CallbackScope() { --depth_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

  static bool Active() { return depth_ > 0; }

 private:
  static inline thread_local int depth_ = 0;
};

// Deletes `object`, whose destructor waits for the threads that run callbacks: where the calling thread is one of them
// (an application dropped its last client in a callback), in a thread of its own. A gRPC channel is such an object: the
// last one that goes joins gRPC's callback threads, and gRPC 1.51 aborts when it is one of them that does so.
template <typename T>
void Dispose(T* object) {
  if (CallbackScope::Active() || server::ComputePool::InTask()) {
    std::thread([object] { delete object; }).detach();
  } else {
    delete object;
  }
}

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_DISPOSE_H_

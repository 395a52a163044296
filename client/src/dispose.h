// Destroying what must not be destroyed in a callback.

#ifndef SPIKESERVE_CLIENT_DISPOSE_H_
#define SPIKESERVE_CLIENT_DISPOSE_H_

#include <condition_variable>
#include <mutex>
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

// The objects that are being deleted in threads of their own.
class Disposals {
 public:
  static Disposals& Instance() {
    static Disposals disposals;
    return disposals;
  }

  // When the process exits: they use libraries whose own static objects go next. A callback that calls exit() is waited
  // for by them, and so does not wait.
  ~Disposals() {
    if (InCallback()) return;
    std::unique_lock lock(mutex_);
    all_ended_.wait(lock, [this] { return running_ == 0; });
  }

  template <typename T>
  void Start(T* object) {
    {
      const std::lock_guard lock(mutex_);
      ++running_;
    }
    std::thread([this, object] {
      delete object;
      const std::lock_guard lock(mutex_);
      if (--running_ == 0) all_ended_.notify_all();
    }).detach();
  }

  // Whether the calling thread runs a callback.
  static bool InCallback() { return CallbackScope::Active() || server::ComputePool::InTask(); }

 private:
  Disposals() = default;

  std::mutex mutex_;
  int running_ = 0;  // Guarded by mutex_.
  std::condition_variable all_ended_;
};

// Deletes `object`, whose destructor waits for the threads that run callbacks: where the calling thread is one of them
// (an application dropped its last client in a callback), in a thread of its own. A gRPC channel is such an object: the
// last one that goes joins gRPC's callback threads, and gRPC 1.51 aborts when it is one of them that does so.
template <typename T>
void Dispose(T* object) {
  if (Disposals::InCallback()) {
    Disposals::Instance().Start(object);
  } else {
    delete object;
  }
}

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_DISPOSE_H_

// What is done again and again beside the calls.

#ifndef SPIKESERVE_SERVER_RUNTIME_PERIODIC_THREAD_H_
#define SPIKESERVE_SERVER_RUNTIME_PERIODIC_THREAD_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/time/time.h"

namespace spikeserve::server {

// A thread that waits for `period` and calls `work`, in turns, until it is destroyed: that ends a wait, but not a call.
// What `work` uses must be there before it and after it.
class PeriodicThread {
 public:
  PeriodicThread(absl::Duration period, std::function<void()> work)
      : thread_([this, period, work = std::move(work)] {
          std::unique_lock lock(mutex_);
          while (!stop_.wait_for(lock, absl::ToChronoNanoseconds(period), [this] { return stopping_; })) {
            lock.unlock();
            work();
            lock.lock();
          }
        }) {}

  ~PeriodicThread() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    stop_.notify_all();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  bool stopping_ = false;  // Guarded by mutex_.
  std::condition_variable stop_;
  std::thread thread_;  // The last, as it uses the others.
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_PERIODIC_THREAD_H_

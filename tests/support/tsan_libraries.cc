// Shows ThreadSanitizer what Abseil does in gRPC, and gRPC by itself.
//
// gRPC hands its work from thread to thread under absl::Mutex. Debian's Abseil is not built with ThreadSanitizer, which
// therefore sees no order between those threads; an Abseil built with it would tell. In a build with ThreadSanitizer
// this file is part of every executable: the dynamic linker finds its functions before Abseil's, also for gRPC's
// libraries, and they call Abseil's and tell. They say nothing but what is so, and hide no race by it: what a thread
// did before it unlocked a mutex does come before what the next one does that locks it.
//
// These are the functions that gRPC uses. Our own locks are std::mutex, which ThreadSanitizer knows.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/support/server_callback.h"

namespace {

// Abseil's function of the same name as the one at `ours`, and the same signature but for `this`, which is the first
// parameter of `Function`.
template <typename Function>
Function* Original(void* ours) {
  Dl_info info;
  dladdr(ours, &info);
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, info.dli_sname));
}

}  // namespace

// The address of a member function, by an extension of GCC.
#pragma GCC diagnostic ignored "-Wpmf-conversions"
#define ORIGINAL(function, ...) Original<__VA_ARGS__>(reinterpret_cast<void*>(&function))

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static auto* const original = ORIGINAL(Mutex::Lock, void(Mutex*));
  original(this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  static auto* const original = ORIGINAL(Mutex::TryLock, bool(Mutex*));
  const bool locked = original(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Unlock() {
  static auto* const original = ORIGINAL(Mutex::Unlock, void(Mutex*));
  __tsan_release(this);
  original(this);
}

// A wait unlocks the mutex, and locks it again.

void CondVar::Wait(Mutex* mutex) {
  static auto* const original = ORIGINAL(CondVar::Wait, void(CondVar*, Mutex*));
  __tsan_release(mutex);
  original(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const original = ORIGINAL(CondVar::WaitWithTimeout, bool(CondVar*, Mutex*, Duration));
  __tsan_release(mutex);
  const bool timed_out = original(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const original = ORIGINAL(CondVar::WaitWithDeadline, bool(CondVar*, Mutex*, Time));
  __tsan_release(mutex);
  const bool timed_out = original(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

// The copies of a Status share what it holds, and the last one that goes deletes it, after all that was done with the
// others. So Abseil's function is called only by the last one, which it then takes for the only one.
void Status::UnrefNonInlined(uintptr_t rep) {
  static auto* const original = Original<void(uintptr_t)>(reinterpret_cast<void*>(&Status::UnrefNonInlined));
  std::atomic<int32_t>& references = RepToPointer(rep)->ref;
  if (references.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  references.store(1, std::memory_order_relaxed);
  original(rep);
}

ABSL_NAMESPACE_END
}  // namespace absl

namespace grpc::internal {

// A call is over when the last of its callbacks has ended. gRPC counts them in functions of its header, which
// ThreadSanitizer sees, but also in its library, and there the last one may be.
void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  static auto* const original = ORIGINAL(ServerCallbackCall::ScheduleOnDone, void(ServerCallbackCall*, bool));
  __tsan_acquire(&callbacks_outstanding_);
  original(this, inline_ondone);
}

}  // namespace grpc::internal

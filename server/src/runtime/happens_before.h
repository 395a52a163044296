// Tells ThreadSanitizer what comes before what where a library keeps that order out of its sight.
//
// Debian's gRPC and oneTBB are not built with ThreadSanitizer, and hand work from thread to thread with atomics of
// their own. So where we give them something that they give back in another thread, we tell: HappensBefore(p) where it
// is given, as the last thing, and HappensAfter(p) where it comes back, as the first; `p` is the address of what is
// handed over. Only what the library does order is told, so a race in what the threads do is found all the same.
//
// In all other builds nothing here does anything.

#ifndef SPIKESERVE_SERVER_RUNTIME_HAPPENS_BEFORE_H_
#define SPIKESERVE_SERVER_RUNTIME_HAPPENS_BEFORE_H_

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace spikeserve::server {

#ifdef __SANITIZE_THREAD__
inline void HappensBefore(const void* p) { __tsan_release(const_cast<void*>(p)); }
inline void HappensAfter(const void* p) { __tsan_acquire(const_cast<void*>(p)); }
#else
inline void HappensBefore(const void*) {}
inline void HappensAfter(const void*) {}
#endif

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_HAPPENS_BEFORE_H_

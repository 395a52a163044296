// Allocations that fail.

#ifndef SPIKESERVE_SERVER_RUNTIME_GUARDED_H_
#define SPIKESERVE_SERVER_RUNTIME_GUARDED_H_

#include <exception>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace spikeserve::server {

inline constexpr char kServerOutOfMemory[] = "the server is out of memory; need a smaller request, or try again later";

// Calls `fn`, which returns a Status or a StatusOr. Our code throws nothing, but an allocation may fail anywhere: that
// ends the call, with this message, and neither the server nor (as gRPC keeps exceptions to itself) its client's wait.
template <typename Fn>
auto Guarded(Fn fn, const char* out_of_memory = kServerOutOfMemory) -> decltype(fn()) {
  try {
    return fn();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(out_of_memory);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("unexpected: ", error.what()));
  }
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_GUARDED_H_

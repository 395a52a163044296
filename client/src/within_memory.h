// Memory that an answer takes, and there is not.

#ifndef SPIKESERVE_CLIENT_WITHIN_MEMORY_H_
#define SPIKESERVE_CLIENT_WITHIN_MEMORY_H_

#include <new>
#include <stdexcept>

#include "absl/status/status.h"

namespace spikeserve {

// What `fn` returns, an absl::Status or absl::StatusOr; RESOURCE_EXHAUSTED where there is no memory for it. In gRPC's
// callbacks, which keep exceptions to themselves: the call would never end.
template <typename Fn>
auto WithinMemory(Fn fn) -> decltype(fn()) {
  constexpr char kMessage[] = "no memory for the server's response";
  try {
    return fn();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(kMessage);
  } catch (const std::length_error&) {
    return absl::ResourceExhaustedError(kMessage);
  }
}

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_WITHIN_MEMORY_H_

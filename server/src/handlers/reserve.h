// Room for what a change of a network is about to take.

#ifndef SPIKESERVE_SERVER_HANDLERS_RESERVE_H_
#define SPIKESERVE_SERVER_HANDLERS_RESERVE_H_

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "absl/status/status.h"
#include "runtime/context.h"
#include "runtime/network_store.h"

namespace spikeserve::server {

// NetworkStore::SetBytes for what the network takes and these numbers of bytes besides, each >= 0 and up to 2^63 - 1.
// ChangeNetwork gives back what the change did not take.
inline absl::Status Reserve(HeldNetwork& held, std::initializer_list<int64_t> more, Context& context) {
  // Above all limits, and a number still when those of the other networks are added to it.
  constexpr int64_t kMost = int64_t{1} << 60;
  int64_t bytes = held.ByteSize();
  for (const int64_t part : more) bytes += std::min(part, kMost - std::min(bytes, kMost));
  return context.networks.SetBytes(held, bytes);
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_RESERVE_H_

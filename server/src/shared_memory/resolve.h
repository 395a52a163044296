// Requests that name shared memory.

#ifndef SPIKESERVE_SERVER_SHARED_MEMORY_RESOLVE_H_
#define SPIKESERVE_SERVER_SHARED_MEMORY_RESOLVE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "codec/envelope.h"
#include "shared_memory/region_store.h"

namespace spikeserve::shared_memory {

// Whether a tensor of `request` is in the `shared` form.
bool NamesSharedMemory(const codec::Envelope& request);

// Gives these tensors their elements: as those of `data`, where the client has them, marked as shared. The region lives
// as long as they do.
//
// INVALID_ARGUMENT for a tensor that is wrong in itself or a piece that is not within its region; NOT_FOUND for a
// handle that `store` does not hold; RESOURCE_EXHAUSTED for more than `max_bytes`.
absl::Status Resolve(codec::Envelope& request, const RegionStore& store, int64_t max_bytes);

// Whether a call failed because of the shared memory that it named, and before it began: the server did not find the
// memory, or does not share any.
bool IsUnresolved(const absl::Status& status);

}  // namespace spikeserve::shared_memory

#endif  // SPIKESERVE_SERVER_SHARED_MEMORY_RESOLVE_H_

// Requests and responses that name shared memory instead of carrying elements.

#ifndef SPIKESERVE_SERVER_SHARED_MEMORY_SHARED_TENSORS_H_
#define SPIKESERVE_SERVER_SHARED_MEMORY_SHARED_TENSORS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
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

// The metadata with which a client offers memory for results.
inline constexpr char kResultMemoryKey[] = "spikeserve-result-memory-bin";

// Moves the tensors of `response` that fit into the memory that the client offers, as v1::ResultMemory tells it; they
// are then in the `shared` form. `offer` is that message, as bytes; from anything else nothing follows.
void PlaceResults(absl::string_view offer, const RegionStore& store, codec::Envelope& response);

// Whether a call failed because of the shared memory that it named, and before it began: the server did not find the
// memory, or does not share any.
bool IsUnresolved(const absl::Status& status);

}  // namespace spikeserve::shared_memory

#endif  // SPIKESERVE_SERVER_SHARED_MEMORY_SHARED_TENSORS_H_

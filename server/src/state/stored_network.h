// Networks that are held <-> networks that are kept.

#ifndef SPIKESERVE_SERVER_STATE_STORED_NETWORK_H_
#define SPIKESERVE_SERVER_STATE_STORED_NETWORK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "runtime/engine.h"
#include "runtime/network_store.h"
#include "spikeserve/v1/stored_network.pb.h"

namespace spikeserve::state {

// The network as it is now, on its strand: all that Restore needs so that it goes on bit for bit, and a caller that
// repeats its last change gets the reply.
v1::StoredNetwork Store(const server::HeldNetwork& held);

// The most bytes that the file of a network may have which Restore can give to the engine now: what is larger need not
// be read.
int64_t RoomForFile(server::Engine& engine);

// Gives the network to the engine, under its name. RESOURCE_EXHAUSTED over one of the engine's limits; INVALID_ARGUMENT
// for a checkpoint or a reply that is none.
absl::Status Restore(const v1::StoredNetwork& stored, server::Engine& engine);

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_STORED_NETWORK_H_

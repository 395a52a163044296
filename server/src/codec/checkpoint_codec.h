// Checkpoints, which are requests that make a network <-> the compute library's networks.

#ifndef SPIKESERVE_SERVER_CODEC_CHECKPOINT_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_CHECKPOINT_CODEC_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "codec/room.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::codec {

// The network that the request describes, with its layers, mode, state, gradients and the optimiser's memory, of which
// each tensor takes at most `room`. Errors: those of the Decode functions, of Network::Create and of its Set
// functions, and INVALID_ARGUMENT for a format_version that is not known here.
absl::StatusOr<Network> DecodeNetwork(const v1::CreateNetworkRequest& request, Room room);

// All of the network but its monitors' records and its trace: DecodeNetwork makes one of it that goes on bit for bit.
void EncodeNetwork(const Network& network, v1::CreateNetworkRequest* request);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_CHECKPOINT_CODEC_H_

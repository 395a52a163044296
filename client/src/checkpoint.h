// Checkpoints <-> the request that makes a network of them.

#ifndef SPIKESERVE_CLIENT_SRC_CHECKPOINT_H_
#define SPIKESERVE_CLIENT_SRC_CHECKPOINT_H_

#include "absl/status/statusor.h"
#include "spikeserve/client/networks.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve {

void EncodeCheckpoint(const CreateNetworkArgs& checkpoint, v1::CreateNetworkRequest& request);

// INVALID_ARGUMENT for another format version than the known one, or none, and the errors of the codec.
absl::StatusOr<CreateNetworkArgs> DecodeCheckpoint(const v1::CreateNetworkRequest& request);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_SRC_CHECKPOINT_H_

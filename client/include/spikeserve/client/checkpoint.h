// Networks in files: their layers, parameters, state and what their training has left.
//
// A checkpoint is a CreateNetworkRequest of spikeserve/v1/networks.proto with its format_version: in Protobuf's JSON
// form where the file's name ends in ".json", else in its binary form. Any language reads it with the .proto alone.

#ifndef SPIKESERVE_CLIENT_CHECKPOINT_H_
#define SPIKESERVE_CLIENT_CHECKPOINT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/networks.h"

namespace spikeserve {

// All that the network is but its monitors and its trace.
absl::StatusOr<CreateNetworkArgs> TakeCheckpoint(const NetworkHandle& network, const CallOptions& o = {});

// Thread-safe. The file is there whole or not at all: it is written beside `path`, and then takes its place. Errors
// name the file: INVALID_ARGUMENT for what is no checkpoint or one of another format version; NOT_FOUND,
// PERMISSION_DENIED and others of the file system.
absl::Status WriteCheckpoint(const CreateNetworkArgs& checkpoint, const std::string& path);
absl::StatusOr<CreateNetworkArgs> ReadCheckpoint(const std::string& path);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_CHECKPOINT_H_

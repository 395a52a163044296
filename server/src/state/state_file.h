// The bytes of a file that keeps a network.
//
//   offset  bytes
//        0      8  "SPKNETW\n"
//        8      4  the format's version
//       12      4  CRC-32C of all other bytes of the file
//       16      8  the bytes that follow
//       24         v1::StoredNetwork
//
// Numbers are little-endian. The first 24 bytes are the same in every version, so that a file of another version is
// told from one that is corrupt.

#ifndef SPIKESERVE_SERVER_STATE_STATE_FILE_H_
#define SPIKESERVE_SERVER_STATE_STATE_FILE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "spikeserve/v1/stored_network.pb.h"

namespace spikeserve::state {

inline constexpr uint32_t kStateFileVersion = 1;
inline constexpr int64_t kStateFileHeader = 24;
// Protobuf writes messages of less than 2 GiB.
inline constexpr int64_t kMaxStateFileBytes = kStateFileHeader + std::numeric_limits<int32_t>::max();

// RESOURCE_EXHAUSTED for a network of 2 GiB or more.
absl::StatusOr<std::string> EncodeStateFile(const v1::StoredNetwork& network);

// DATA_LOSS for bytes that are not those of a file as it was written; UNIMPLEMENTED for one of another version, of the
// file or of the checkpoint in it.
absl::StatusOr<v1::StoredNetwork> DecodeStateFile(std::string_view bytes);

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_STATE_FILE_H_

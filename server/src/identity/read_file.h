// Small files that an operator names.

#ifndef SPIKESERVE_SERVER_IDENTITY_READ_FILE_H_
#define SPIKESERVE_SERVER_IDENTITY_READ_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace spikeserve::identity {

// The whole of a regular file of at most 1 MiB. INVALID_ARGUMENT, which tells the path and what is wrong, for all else,
// such as a pipe: to read that could take for ever.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace spikeserve::identity

#endif  // SPIKESERVE_SERVER_IDENTITY_READ_FILE_H_

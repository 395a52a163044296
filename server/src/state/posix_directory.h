// A directory of the system.

#ifndef SPIKESERVE_SERVER_STATE_POSIX_DIRECTORY_H_
#define SPIKESERVE_SERVER_STATE_POSIX_DIRECTORY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "state/directory.h"

namespace spikeserve::state {

// The file that is locked while a server uses the directory.
inline constexpr char kLockFile[] = "lock";

// The directory at `path`, made (for its owner alone, and so that it survives a crash of the machine) where only it
// itself is missing. Nobody else can open it until the result goes. Errors, with `path` in the message: as the system
// says; UNAVAILABLE where it is in use.
absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(const std::string& path);

// The errors that OpenDirectory would give, but for that of a directory that is in use; changes nothing.
absl::Status CheckDirectory(const std::string& path);

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_POSIX_DIRECTORY_H_

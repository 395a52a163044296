// Whole files in and out, with errors that name the file.

#ifndef SPIKESERVE_FILE_FILE_H_
#define SPIKESERVE_FILE_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace spikeserve::file {

// The bytes of a file or pipe. Errors: NOT_FOUND, PERMISSION_DENIED and the like, as errno says;
// RESOURCE_EXHAUSTED where there is no memory for them.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Replaces the file by `bytes`, or creates it: whoever reads `path` meanwhile, or after a crash, finds all of the old
// bytes or all of the new. What is no regular file (a pipe, a device) is written to as it is.
absl::Status WriteFile(const std::string& path, std::string_view bytes);

// Whether WriteFile can be expected to write there: asked before the work whose result it is to keep.
absl::Status CheckCanWrite(const std::string& path);

// `status` with "PATH: " in front of its message.
absl::Status AtPath(std::string_view path, const absl::Status& status);

}  // namespace spikeserve::file

#endif  // SPIKESERVE_FILE_FILE_H_

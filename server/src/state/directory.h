// The one door to the disk: all that networks need of a directory, and the place where tests let disks fail.

#ifndef SPIKESERVE_SERVER_STATE_DIRECTORY_H_
#define SPIKESERVE_SERVER_STATE_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace spikeserve::state {

// A file that is being written. Its destructor closes it; what was not synced may be lost.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // Appends some of `bytes`, from the first on, and returns how many: at least one where there is any.
  virtual absl::StatusOr<size_t> Write(std::string_view bytes) = 0;
  // When it returns, what was written survives a crash of the machine.
  virtual absl::Status Sync() = 0;
};

// The files of one directory, by name, which has no '/' in it. Messages of errors say what failed, but not where.
//
// Thread-compatible.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual absl::StatusOr<std::vector<std::string>> List() = 0;
  // The whole file. RESOURCE_EXHAUSTED, without reading it, for one of more than `max_bytes`.
  virtual absl::StatusOr<std::string> Read(const std::string& name, int64_t max_bytes) = 0;
  // An empty file, which takes the place of one that is there.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& name) = 0;
  // Takes the place of a file `to` that is there: at every moment, all of one of them is there.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // NOT_FOUND where there is none.
  virtual absl::Status Remove(const std::string& name) = 0;
  // When it returns, files that were created, renamed and removed survive a crash of the machine as that.
  virtual absl::Status Sync() = 0;
};

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_DIRECTORY_H_

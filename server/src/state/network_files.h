// The files of networks in a directory: NAME.network for each, replaced whole.

#ifndef SPIKESERVE_SERVER_STATE_NETWORK_FILES_H_
#define SPIKESERVE_SERVER_STATE_NETWORK_FILES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/event.h"
#include "spikeserve/v1/stored_network.pb.h"
#include "state/directory.h"
#include "state/state_file.h"

namespace spikeserve::state {

// Whatever happens in the middle of a Write or a Remove (an error, the end of the process or of the machine), the
// network's file afterwards is the old one, whole, or the new one.
//
// Thread-compatible.
class NetworkFiles {
 public:
  explicit NetworkFiles(std::unique_ptr<Directory> directory) : directory_(std::move(directory)) {}

  // Gives `take` each network that is kept, in the order of their names. A file that is corrupt, or whose network
  // `take` finds wrong, is set aside: renamed to NAME.network.corrupt. What `take` answers RESOURCE_EXHAUSTED to, what
  // is of another version, and what cannot be read stays as it is, for a server that can take it; so does, without
  // being read, what has more bytes than `room`, which is asked before each file. Each is an event; none keeps the
  // others from being taken. What is left of writes that did not end is removed; the directory's other files are left
  // alone. Returns how many `take` took; an error where the directory cannot be listed, and CANCELLED where `stop`,
  // which is asked before each file, too, says that the rest is not wanted.
  absl::StatusOr<int> Load(
      absl::FunctionRef<absl::Status(const v1::StoredNetwork&)> take, const server::EventSink& events,
      absl::FunctionRef<bool()> stop = [] { return false; },
      absl::FunctionRef<int64_t()> room = [] { return kMaxStateFileBytes; });

  // Writes the network's file, or replaces it. Errors: those of the directory, and of EncodeStateFile.
  absl::Status Write(const v1::StoredNetwork& network);

  // Removes the network's file, if there is one.
  absl::Status Remove(const std::string& network);

  // The networks that were loaded or written, and not removed.
  std::vector<std::string> Networks() const;
  // The next_step that the network's file has; nullopt where it has none, or may not survive a crash.
  std::optional<uint64_t> StepOf(const std::string& network) const;

 private:
  absl::Status LoadOne(const std::string& file, int64_t room,
                       absl::FunctionRef<absl::Status(const v1::StoredNetwork&)> take);
  absl::Status WriteWhole(const std::string& file, std::string_view bytes);

  const std::unique_ptr<Directory> directory_;
  // Of each network that may have a file, the next_step in it.
  std::map<std::string, std::optional<uint64_t>> steps_;
};

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_NETWORK_FILES_H_

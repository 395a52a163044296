// Files that may be replaced while they are in use: certificates and tokens are, without a restart.

#ifndef SPIKESERVE_SERVER_IDENTITY_FILE_WATCH_H_
#define SPIKESERVE_SERVER_IDENTITY_FILE_WATCH_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/event.h"
#include "runtime/periodic_thread.h"

namespace spikeserve::identity {

// How often files are looked at.
inline constexpr absl::Duration kWatchPeriod = absl::Seconds(1);

// A file, and the flag that errors name it by.
struct FlagFile {
  std::string flag;
  std::string path;
};

// What the files hold, in their order. INVALID_ARGUMENT for one that cannot be read or is larger than 1 MiB.
absl::StatusOr<std::vector<std::string>> ReadFiles(const std::vector<FlagFile>& files);

// Reads files in a thread of its own, about each `period`, until it is destroyed.
class FileWatch {
 public:
  // When what the files hold differs from what they held before (`first`), calls `take` with it, in the watch's thread,
  // again and again until it succeeds. An error of it, or of reading, is an event, once, when the next look ends with
  // one as well: files that belong together are replaced one after the other, and a look finds one new and one old.
  // Whoever takes keeps what it had then.
  FileWatch(std::vector<FlagFile> files, std::vector<std::string> first,
            std::function<absl::Status(const std::vector<std::string>&)> take, server::EventSink events,
            absl::Duration period);

 private:
  void Look();

  const std::vector<FlagFile> files_;
  const std::function<absl::Status(const std::vector<std::string>&)> take_;
  const server::EventSink events_;
  // What was found last, and how it was taken. Only the thread touches them.
  std::vector<std::string> contents_;
  absl::Status status_;
  // The error that was told last; OK where there was none since files were taken.
  absl::Status told_;

  server::PeriodicThread thread_;
};

}  // namespace spikeserve::identity

#endif  // SPIKESERVE_SERVER_IDENTITY_FILE_WATCH_H_

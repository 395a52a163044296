#include "identity/file_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "identity/read_file.h"
#include "runtime/guarded.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::identity {
namespace {

using server::Severity;

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadFiles(const std::vector<FlagFile>& files) {
  std::vector<std::string> contents;
  for (const FlagFile& file : files) {
    absl::StatusOr<std::string> text = ReadFile(file.path);
    if (!text.ok()) {
      return InvalidField(file.flag, std::string(text.status().message()),
                          "a regular file of at most 1 MiB that can be read");
    }
    contents.push_back(*std::move(text));
  }
  return contents;
}

FileWatch::FileWatch(std::vector<FlagFile> files, std::vector<std::string> first,
                     std::function<absl::Status(const std::vector<std::string>&)> take, server::EventSink events,
                     absl::Duration period)
    : files_(std::move(files)),
      take_(std::move(take)),
      events_(std::move(events)),
      contents_(std::move(first)),
      thread_(period, [this] {
        // A look that there was no memory for is made again next time.
        server::Guarded([this] {
          Look();
          return absl::OkStatus();
        }).IgnoreError();
      }) {}

void FileWatch::Look() {
  absl::StatusOr<std::vector<std::string>> found = ReadFiles(files_);
  if (found.ok() && status_.ok() && *found == contents_) return;
  absl::Status status = found.ok() ? take_(*found) : found.status();
  if (found.ok()) contents_ = *std::move(found);
  if (status.ok()) {
    told_ = status;
    const std::string flags = absl::StrJoin(files_, ", ", [](std::string* out, const FlagFile& f) { *out += f.flag; });
    events_({Severity::kInfo, "files read again, and in use", {{"flags", flags}}});
  } else if (!status_.ok() && status != told_) {
    told_ = status;
    events_({Severity::kError,
             "files not taken; what was read before stays in use",
             {{"reason", std::string(status.message())}}});
  }
  status_ = std::move(status);
}

}  // namespace spikeserve::identity

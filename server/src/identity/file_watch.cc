#include "identity/file_watch.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::identity {
namespace {

using server::Severity;

constexpr size_t kMaxBytes = size_t{1} << 20;

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadFiles(const std::vector<FlagFile>& files) {
  std::vector<std::string> contents;
  for (const FlagFile& file : files) {
    errno = 0;
    std::ifstream stream(file.path, std::ios::binary);
    std::string text(kMaxBytes + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    const int error = errno;
    if (stream.bad() || !stream.is_open() || (stream.gcount() == 0 && error != 0)) {
      return InvalidField(file.flag, absl::StrCat("cannot read the file ", file.path, ": ", std::strerror(error)),
                          "a file that can be read");
    }
    text.resize(static_cast<size_t>(stream.gcount()));
    if (text.size() > kMaxBytes) {
      return InvalidField(file.flag, absl::StrCat("the file ", file.path, " is larger than 1 MiB"), "a smaller one");
    }
    contents.push_back(std::move(text));
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
      thread_(period, [this] { Look(); }) {}

void FileWatch::Look() {
  absl::StatusOr<std::vector<std::string>> found = ReadFiles(files_);
  if (found.ok() && status_.ok() && *found == contents_) return;
  absl::Status status = found.ok() ? take_(*found) : found.status();
  if (found.ok()) contents_ = *std::move(found);
  if (status.ok()) {
    const std::string flags = absl::StrJoin(files_, ", ", [](std::string* out, const FlagFile& f) { *out += f.flag; });
    events_({Severity::kInfo, "files read again, and in use", {{"flags", flags}}});
  } else if (status != status_) {
    events_({Severity::kError,
             "files not taken; what was read before stays in use",
             {{"reason", std::string(status.message())}}});
  }
  status_ = std::move(status);
}

}  // namespace spikeserve::identity

#include "identity/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace spikeserve::identity {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{1} << 20;
  const auto wrong = [&](const char* what) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read the file ", path, ": ", what));
  };
  // A pipe that nobody writes to would have open() wait.
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return wrong(std::strerror(errno));
  const absl::Cleanup close_file = [&] { close(file); };
  struct stat facts;
  if (fstat(file, &facts) != 0) return wrong(std::strerror(errno));
  if (S_ISDIR(facts.st_mode)) return wrong("a directory");
  if (!S_ISREG(facts.st_mode)) return wrong("not a regular file");
  std::string text(kMaxBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t more = read(file, text.data() + size, text.size() - size);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return wrong(std::strerror(errno));
    if (more == 0) break;
    size += static_cast<size_t>(more);
  }
  if (size > kMaxBytes) return wrong("larger than 1 MiB");
  text.resize(size);
  return text;
}

}  // namespace spikeserve::identity

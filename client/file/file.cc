#include "file/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace spikeserve::file {
namespace {

absl::Status FileError(const std::string& path, std::string_view action) {
  const int error = errno;
  return absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot ", absl::string_view(action.data(), action.size())));
}

absl::Status WriteTo(int fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return FileError(path, "write");
    if (n > 0) bytes.remove_prefix(n);
  }
  return absl::OkStatus();
}

// The file that `path`, which exists, leads to: a symbolic link stays one.
std::string Target(const std::string& path) {
  std::error_code error;
  std::string target = std::filesystem::canonical(path, error).string();
  return error ? path : target;
}

}  // namespace

absl::Status AtPath(std::string_view path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(absl::string_view(path.data(), path.size()), ": ", status.message()));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path, "open");
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) return FileError(path, "open");
  std::string bytes;
  // A pipe tells no size. One byte more than the size, so that a file is read whole at once and its end seen.
  size_t room = std::max<size_t>(info.st_size, 1 << 16) + 1;
  for (size_t size = 0;;) {
    if (bytes.size() < size + room) {
      try {
        bytes.resize(size + room);
      } catch (const std::exception&) {  // A length too great for a string, or for the memory.
        return absl::ResourceExhaustedError(
            absl::StrCat(path, ": no memory for all of it, of ", size + room - 1, " bytes and more"));
      }
    }
    const ssize_t n = read(fd, bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno != EINTR) return FileError(path, "read");
    if (n > 0) size += n;
    if (n == 0) {
      bytes.resize(size);
      return bytes;
    }
    room = size == bytes.size() ? size : 0;
  }
}

absl::Status CheckCanWrite(const std::string& path) {
  struct stat info;
  const bool exists = stat(path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    return FileError(path, "be written there");
  }
  std::string at = path;
  int access_mode = W_OK;
  if (!exists || S_ISREG(info.st_mode)) {  // Another file is made beside it.
    at = std::filesystem::path(exists ? Target(path) : path).parent_path();
    if (at.empty()) at.assign(1, '.');
    access_mode |= X_OK;
  }
  return access(at.c_str(), access_mode) == 0 ? absl::OkStatus() : FileError(path, "be written there");
}

absl::Status WriteFile(const std::string& path, std::string_view bytes) {
  struct stat info;
  const bool exists = stat(path.c_str(), &info) == 0;
  if (exists && !S_ISREG(info.st_mode)) {
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return FileError(path, "open");
    const absl::Cleanup close_fd = [fd] { close(fd); };
    return WriteTo(fd, path, bytes);
  }

  const std::string target = exists ? Target(path) : path;
  static std::atomic<int> counter{0};
  const std::string temporary = absl::StrCat(target, ".", getpid(), ".", counter++, ".tmp");
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, exists ? info.st_mode & 0777 : 0666);
  if (fd < 0) return FileError(path, "create");
  absl::Cleanup discard = [&] {
    if (fd >= 0) close(fd);
    unlink(temporary.c_str());
  };
  if (absl::Status status = WriteTo(fd, path, bytes); !status.ok()) return status;
  if (fsync(fd) != 0) return FileError(path, "write");
  if (close(std::exchange(fd, -1)) != 0) return FileError(path, "write");
  if (rename(temporary.c_str(), target.c_str()) != 0) return FileError(path, "replace");
  std::move(discard).Cancel();
  return absl::OkStatus();
}

}  // namespace spikeserve::file

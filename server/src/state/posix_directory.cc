#include "state/posix_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "shared_memory/file_descriptor.h"

namespace spikeserve::state {
namespace {

using shared_memory::FileDescriptor;

absl::Status Errno(const char* action) { return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", action)); }

absl::Status Cannot(const char* action, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", action, " ", path));
}

// Lets the name of `directory` survive a crash of the machine.
bool SyncParent(const FileDescriptor& directory) {
  const FileDescriptor parent(openat(directory.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // One that may be written to, but not read, cannot be synced; that is no reason not to serve.
  if (!parent) return errno == EACCES;
  // Nor can a directory of some file systems.
  return fsync(parent.get()) == 0 || errno == EINVAL || errno == ENOSYS;
}

class PosixFile final : public WritableFile {
 public:
  explicit PosixFile(FileDescriptor file) : file_(std::move(file)) {}

  absl::StatusOr<size_t> Write(std::string_view bytes) override {
    while (true) {
      const ssize_t n = write(file_.get(), bytes.data(), bytes.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return Errno("write");
    }
  }

  absl::Status Sync() override { return fsync(file_.get()) == 0 ? absl::OkStatus() : Errno("write"); }

 private:
  const FileDescriptor file_;
};

class PosixDirectory final : public Directory {
 public:
  PosixDirectory(FileDescriptor directory, FileDescriptor lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}

  absl::StatusOr<std::vector<std::string>> List() override {
    // Closing the stream closes the descriptor, so it gets one of its own, with a position of its own.
    const int copy = openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return Errno("list the files");
    DIR* stream = fdopendir(copy);
    if (stream == nullptr) {
      close(copy);
      return Errno("list the files");
    }
    const absl::Cleanup close_stream = [stream] { closedir(stream); };
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream)) names.emplace_back(entry->d_name);
    if (errno != 0) return Errno("list the files");
    return names;
  }

  absl::StatusOr<std::string> Read(const std::string& name, int64_t max_bytes) override {
    // Of what is no regular file, a pipe would hold the server up, and a link may lead anywhere.
    const FileDescriptor file(openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return Errno("open it");
    struct stat info;
    if (fstat(file.get(), &info) != 0) return Errno("open it");
    if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError("it is no regular file");
    if (info.st_size > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat("it has ", info.st_size, " bytes, more than ", max_bytes));
    }
    std::string bytes(static_cast<size_t>(info.st_size), '\0');
    size_t size = 0;
    while (size < bytes.size()) {
      const ssize_t n = read(file.get(), bytes.data() + size, bytes.size() - size);
      if (n < 0 && errno != EINTR) return Errno("read it");
      if (n == 0) break;
      if (n > 0) size += static_cast<size_t>(n);
    }
    bytes.resize(size);
    return bytes;
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& name) override {
    FileDescriptor file(
        openat(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return Errno("create a file");
    return std::make_unique<PosixFile>(std::move(file));
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    const int result = renameat(directory_.get(), from.c_str(), directory_.get(), to.c_str());
    return result == 0 ? absl::OkStatus() : Errno("rename a file");
  }

  absl::Status Remove(const std::string& name) override {
    if (unlinkat(directory_.get(), name.c_str(), 0) == 0) return absl::OkStatus();
    absl::Status failed = Errno("remove a file");
    // A file system that may only be read does not look whether there is one.
    if (faccessat(directory_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
      return Errno("remove a file");
    }
    return failed;
  }

  absl::Status Sync() override { return fsync(directory_.get()) == 0 ? absl::OkStatus() : Errno("write"); }

 private:
  const FileDescriptor directory_;
  // Locked until it closes.
  const FileDescriptor lock_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(const std::string& path) {
  const bool made = mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return Cannot("make", path);
  FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return Cannot("open", path);
  // Or a crash of the machine could take the directory, with all that is synced in it.
  if (made && !SyncParent(directory)) return Cannot("write", path);
  FileDescriptor lock(openat(directory.get(), kLockFile, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock) return Cannot("write to", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Cannot("lock", path);
    return absl::UnavailableError(absl::StrCat("another server uses ", path));
  }
  return std::make_unique<PosixDirectory>(std::move(directory), std::move(lock));
}

absl::Status CheckDirectory(const std::string& path) {
  const FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) return access(path.c_str(), W_OK | X_OK) == 0 ? absl::OkStatus() : Cannot("write to", path);
  if (errno != ENOENT) return Cannot("open", path);
  const std::string parent = std::filesystem::absolute(path + "/..").lexically_normal();
  return access(parent.c_str(), W_OK | X_OK) == 0 ? absl::OkStatus() : Cannot("make", path);
}

}  // namespace spikeserve::state

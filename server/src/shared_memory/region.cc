#include "shared_memory/region.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::shared_memory {

absl::StatusOr<int64_t> CheckMemory(const FileDescriptor& memory) {
  const auto refused = [](std::string_view got) {
    return InvalidField("share", got,
                        "the descriptor of a memfd with its final length, at least 1 byte of ordinary pages, that is "
                        "sealed with F_SEAL_SHRINK and F_SEAL_GROW");
  };
  // The seals come first: that question never waits for whoever stands behind a descriptor.
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0) return refused("a descriptor of no memfd");
  struct statfs file_system;
  struct stat file;
  if (fstatfs(memory.get(), &file_system) != 0 || fstat(memory.get(), &file) != 0) {
    return refused("a descriptor that tells nothing of itself");
  }
  if (file_system.f_type != TMPFS_MAGIC) return refused("memory of huge pages");
  std::vector<absl::string_view> missing;
  if ((seals & F_SEAL_SHRINK) == 0) missing.push_back("F_SEAL_SHRINK");
  if ((seals & F_SEAL_GROW) == 0) missing.push_back("F_SEAL_GROW");
  if (!missing.empty()) return refused(absl::StrCat("memory without ", absl::StrJoin(missing, " and ")));
  if (file.st_size == 0) return refused("memory of 0 bytes");
  return file.st_size;
}

Region::Region(uint8_t* data, size_t size, bool writable, std::shared_ptr<const void> holder)
    : data_(data), size_(size), writable_(writable), holder_(std::move(holder)) {}

absl::StatusOr<std::shared_ptr<const Region>> Region::Map(const FileDescriptor& memory, int64_t size,
                                                          std::shared_ptr<const void> holder) {
  const auto length = static_cast<size_t>(size);
  const auto map = [&](int protection) {
    return mmap(nullptr, length, protection, MAP_SHARED | MAP_POPULATE, memory.get(), 0);
  };
  void* data = map(PROT_READ | PROT_WRITE);
  const bool writable = data != MAP_FAILED;
  // A descriptor that was opened for reading, or a seal, keeps the server from writing.
  if (!writable && (errno == EACCES || errno == EPERM)) data = map(PROT_READ);
  if (data == MAP_FAILED) {
    return FieldError(absl::StatusCode::kResourceExhausted, "share",
                      absl::StrCat(size, " bytes that cannot be mapped: ", strerror(errno)), "less memory");
  }
  absl::Cleanup unmap = [&] { munmap(data, length); };
  std::unique_ptr<const Region> region(new Region(static_cast<uint8_t*>(data), length, writable, std::move(holder)));
  std::move(unmap).Cancel();
  return region;
}

Region::~Region() { munmap(data_, size_); }

}  // namespace spikeserve::shared_memory

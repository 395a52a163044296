#include "bench/repeated_tensor.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace spikeserve::bench {
namespace {

void Check(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// A file in memory; closed at the end, what is mapped of it stays.
class MemoryFile {
 public:
  explicit MemoryFile(const TensorView& content) : fd_(memfd_create("spikeserve-bench", MFD_CLOEXEC)) {
    Check(fd_ >= 0, "memfd_create");
    const auto* at = static_cast<const std::byte*>(content.data());
    for (auto left = static_cast<size_t>(content.byte_size()); left > 0;) {
      const ssize_t written = write(fd_, at, left);
      Check(written > 0, "write");
      at += written;
      left -= static_cast<size_t>(written);
    }
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

RepeatedTensor::RepeatedTensor(const TensorView& block, int64_t times) : dtype_(block.dtype()), shape_(block.shape()) {
  const auto block_bytes = static_cast<size_t>(block.byte_size());
  if (block_bytes == 0 || block_bytes % static_cast<size_t>(sysconf(_SC_PAGESIZE)) != 0) {
    throw std::runtime_error(std::to_string(block_bytes) + " bytes are no whole pages");
  }
  const MemoryFile file(block);
  shape_[0] *= times;
  bytes_ = block_bytes * static_cast<size_t>(times);
  // The whole range first, so that nothing else comes in between; then the file over each part of it.
  void* const range = mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  Check(range != MAP_FAILED, "mmap");
  address_ = static_cast<std::byte*>(range);
  for (size_t begin = 0; begin < bytes_; begin += block_bytes) {
    if (mmap(address_ + begin, block_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file.fd(), 0) == MAP_FAILED) {
      munmap(address_, bytes_);
      Check(false, "mmap of a part");
    }
  }
}

RepeatedTensor::~RepeatedTensor() { munmap(address_, bytes_); }

}  // namespace spikeserve::bench

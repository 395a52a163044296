// A file descriptor that closes itself.

#ifndef SPIKESERVE_SERVER_SHARED_MEMORY_FILE_DESCRIPTOR_H_
#define SPIKESERVE_SERVER_SHARED_MEMORY_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace spikeserve::shared_memory {

// Movable.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  // Takes over `number`; a negative one is none.
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~FileDescriptor() {
    if (number_ >= 0) close(number_);
  }

  explicit operator bool() const { return number_ >= 0; }
  // Negative where there is none.
  int get() const { return number_; }

 private:
  int number_ = -1;
};

}  // namespace spikeserve::shared_memory

#endif  // SPIKESERVE_SERVER_SHARED_MEMORY_FILE_DESCRIPTOR_H_

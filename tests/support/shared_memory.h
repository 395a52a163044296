// Memory to be shared, and what a process holds of it.

#ifndef SPIKESERVE_TESTS_SUPPORT_SHARED_MEMORY_H_
#define SPIKESERVE_TESTS_SUPPORT_SHARED_MEMORY_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "shared_memory/file_descriptor.h"

namespace spikeserve::testing {

constexpr int kNeededSeals = F_SEAL_SHRINK | F_SEAL_GROW;

inline shared_memory::FileDescriptor MakeMemory(int64_t bytes, int seals = kNeededSeals, unsigned flags = 0) {
  shared_memory::FileDescriptor memory(memfd_create("spikeserve-test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (ftruncate(memory.get(), bytes) != 0 || fcntl(memory.get(), F_ADD_SEALS, seals) != 0) return {};
  return memory;
}

// A mapping that can be written to.
class Mapping {
 public:
  Mapping(const shared_memory::FileDescriptor& memory, size_t bytes)
      : bytes_(bytes), data_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0)) {}
  ~Mapping() { munmap(data_, bytes_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  const size_t bytes_;
  void* const data_;
};

// The descriptors that this process has open.
inline int OpenDescriptors() {
  const std::filesystem::directory_iterator descriptors("/proc/self/fd");
  return static_cast<int>(std::distance(begin(descriptors), end(descriptors)));
}

// The mappings of memfds in this process.
inline int MemoryMappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find("/memfd:") != std::string::npos;
  }
  return count;
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_SHARED_MEMORY_H_

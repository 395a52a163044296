// Memory of a client, mapped by the server.

#ifndef SPIKESERVE_SERVER_SHARED_MEMORY_REGION_H_
#define SPIKESERVE_SERVER_SHARED_MEMORY_REGION_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "shared_memory/file_descriptor.h"

namespace spikeserve::shared_memory {

// The bytes of the memory behind `memory`, which stays as long as it is. INVALID_ARGUMENT for what is no memfd, one
// that is not sealed against shrinking and growing, one of huge pages, and one of no bytes.
//
// Shrunk memory, and huge pages that ran out, would end a process that touches it (SIGBUS).
absl::StatusOr<int64_t> CheckMemory(const FileDescriptor& memory);

// A mapping of such memory. The client can write to it at any time; it can always be read. Thread-safe.
class Region {
 public:
  // Maps `size` bytes of `memory`, which CheckMemory gave, and touches them, so that no call has to. `holder` is kept
  // until the mapping is gone. RESOURCE_EXHAUSTED where the system refuses.
  static absl::StatusOr<std::shared_ptr<const Region>> Map(const FileDescriptor& memory, int64_t size,
                                                           std::shared_ptr<const void> holder);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // At a multiple of the page size.
  const uint8_t* data() const { return data_; }
  // The same, to be written to; null where the client does not allow it.
  uint8_t* writable_data() const { return writable_ ? data_ : nullptr; }
  size_t size() const { return size_; }

 private:
  Region(uint8_t* data, size_t size, bool writable, std::shared_ptr<const void> holder);

  uint8_t* const data_;
  const size_t size_;
  const bool writable_;
  const std::shared_ptr<const void> holder_;
};

}  // namespace spikeserve::shared_memory

#endif  // SPIKESERVE_SERVER_SHARED_MEMORY_REGION_H_

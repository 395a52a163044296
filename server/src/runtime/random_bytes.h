// Bytes that nobody can guess.

#ifndef SPIKESERVE_SERVER_RUNTIME_RANDOM_BYTES_H_
#define SPIKESERVE_SERVER_RUNTIME_RANDOM_BYTES_H_

#include <unistd.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace spikeserve::server {

// Of the system's random generator; at most 256. INTERNAL where it gives none.
inline absl::StatusOr<std::string> RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  if (getentropy(bytes.data(), bytes.size()) != 0) return absl::InternalError("the system gave no random bytes");
  return bytes;
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_RANDOM_BYTES_H_

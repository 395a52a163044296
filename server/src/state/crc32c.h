// The checksum of files.

#ifndef SPIKESERVE_SERVER_STATE_CRC32C_H_
#define SPIKESERVE_SERVER_STATE_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace spikeserve::state {

// CRC-32C (Castagnoli), as in RFC 3720, of the bytes whose checksum is `before`, followed by `bytes`.
uint32_t Crc32c(std::string_view bytes, uint32_t before = 0);

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_CRC32C_H_

#include "state/crc32c.h"

#include <array>
#include <cstddef>

namespace spikeserve::state {
namespace {

// Bytes that are taken at once.
constexpr size_t kSlice = 8;

// kTables[k][b]: what the byte b adds when k more bytes follow it.
using Tables = std::array<std::array<uint32_t, 256>, kSlice>;

constexpr Tables MakeTables() {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // Its bits in reverse.
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < kSlice; ++k) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

uint32_t Crc32c(std::string_view bytes, uint32_t before) {
  uint32_t crc = ~before;
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  for (; left >= kSlice; left -= kSlice, data += kSlice) {
    uint32_t next = 0;
    for (size_t k = 0; k < kSlice; ++k) {
      const uint8_t byte = k < 4 ? static_cast<uint8_t>(data[k] ^ (crc >> (8 * k))) : data[k];
      next ^= kTables[kSlice - 1 - k][byte];
    }
    crc = next;
  }
  for (; left > 0; --left, ++data) crc = (crc >> 8) ^ kTables[0][(crc ^ *data) & 0xff];
  return ~crc;
}

}  // namespace spikeserve::state

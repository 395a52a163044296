#include "state/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace spikeserve::state {
namespace {

// Bit by bit, as CRCs are defined.
uint32_t Naive(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) * 0x82f63b78);
  }
  return ~crc;
}

// RFC 3720, B.4.
TEST(Crc32c, IsThatOfTheStandard) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  EXPECT_EQ(Crc32c(rising), 0x46dd794eu);
}

TEST(Crc32c, OfBytesThatComeInPiecesIsThatOfAllOfThem) {
  std::string bytes;
  for (int i = 0; i < 61; ++i) bytes += static_cast<char>(i * 37 + 11);
  for (size_t length = 0; length <= bytes.size(); ++length) {
    const std::string part = bytes.substr(0, length);
    EXPECT_EQ(Crc32c(part), Naive(part)) << length;
    for (size_t cut = 0; cut <= length; ++cut) {
      EXPECT_EQ(Crc32c(part.substr(cut), Crc32c(part.substr(0, cut))), Naive(part)) << length << " cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace spikeserve::state

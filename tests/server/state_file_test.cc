#include "state/state_file.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "state/crc32c.h"
#include "support/stored_networks.h"

namespace spikeserve::state {
namespace {

using testing::OneStoredNeuron;

std::string File() { return *EncodeStateFile(OneStoredNeuron(7)); }

// `file` with the checksum that its bytes have now.
std::string Sealed(std::string file) {
  const uint32_t crc = Crc32c(std::string_view(file).substr(16), Crc32c(std::string_view(file).substr(0, 12)));
  for (int i = 0; i < 4; ++i) file[12 + i] = static_cast<char>(crc >> (8 * i));
  return file;
}

TEST(StateFile, IsReadAsItWasWritten) {
  const auto network = DecodeStateFile(File());
  ASSERT_TRUE(network.ok()) << network.status();
  EXPECT_EQ(network->SerializeAsString(), OneStoredNeuron(7).SerializeAsString());
}

// The format is fixed: this file was written by version 1.
TEST(StateFile, HasTheLayoutThatItsHeaderTells) {
  const std::string file = File(), message = OneStoredNeuron(7).SerializeAsString();
  EXPECT_EQ(file.substr(0, 8), "SPKNETW\n");
  EXPECT_EQ(file.substr(8, 4), std::string("\1\0\0\0", 4));
  EXPECT_EQ(file.substr(16, 8), static_cast<char>(message.size()) + std::string(7, '\0'));
  EXPECT_EQ(file.substr(24), message);
  EXPECT_EQ(file, Sealed(file));
}

TEST(StateFile, WithAnyByteChangedIsDataLoss) {
  const std::string file = File();
  for (size_t i = 0; i < file.size(); ++i) {
    for (int change = 1; change < 256; ++change) {
      std::string changed = file;
      changed[i] = static_cast<char>(changed[i] ^ change);
      EXPECT_EQ(DecodeStateFile(changed).status().code(), absl::StatusCode::kDataLoss) << i << " ^ " << change;
    }
  }
}

TEST(StateFile, CutAnywhereOrWithMoreBehindItIsDataLoss) {
  const std::string file = File();
  for (size_t length = 0; length < file.size(); ++length) {
    EXPECT_EQ(DecodeStateFile(file.substr(0, length)).status().code(), absl::StatusCode::kDataLoss) << length;
  }
  EXPECT_EQ(DecodeStateFile(file + '\0').status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeStateFile(file + file).status().code(), absl::StatusCode::kDataLoss);
}

TEST(StateFile, WithItsChecksumButAMessageThatIsNoneIsDataLoss) {
  std::string file = File();
  file[24] = '\xff';
  EXPECT_EQ(DecodeStateFile(Sealed(file)).status().code(), absl::StatusCode::kDataLoss);
}

TEST(StateFile, OfAnotherVersionIsToldFromACorruptOne) {
  for (const char version : {'\0', '\2', '\x7f'}) {
    std::string file = File();
    file[8] = version;
    EXPECT_EQ(DecodeStateFile(Sealed(file)).status().code(), absl::StatusCode::kUnimplemented);
  }
  v1::StoredNetwork network = OneStoredNeuron(7);
  network.mutable_checkpoint()->set_format_version(codec::kNetworkFormatVersion + 1);
  EXPECT_EQ(DecodeStateFile(*EncodeStateFile(network)).status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace spikeserve::state

#include "state/state_file.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "codec/network_state_codec.h"
#include "state/crc32c.h"

namespace spikeserve::state {
namespace {

constexpr char kMagic[] = "SPKNETW\n";
constexpr size_t kVersionAt = 8, kChecksumAt = 12, kLengthAt = 16;

void PutNumber(uint64_t number, size_t bytes, char* out) {
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>(number >> (8 * i));
}

uint64_t GetNumber(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes.size(); ++i) number |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return number;
}

uint32_t Checksum(std::string_view file) { return Crc32c(file.substr(kLengthAt), Crc32c(file.substr(0, kChecksumAt))); }

}  // namespace

absl::StatusOr<std::string> EncodeStateFile(const v1::StoredNetwork& network) {
  const size_t length = network.ByteSizeLong();
  if (static_cast<int64_t>(length) > kMaxStateFileBytes - kStateFileHeader) {
    return absl::ResourceExhaustedError("a network takes 2 GiB or more, which a file of the state directory cannot");
  }
  std::string file(kStateFileHeader + length, '\0');
  std::memcpy(file.data(), kMagic, kVersionAt);
  PutNumber(kStateFileVersion, 4, &file[kVersionAt]);
  PutNumber(length, 8, &file[kLengthAt]);
  network.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(&file[kStateFileHeader]));
  PutNumber(Checksum(file), 4, &file[kChecksumAt]);
  return file;
}

absl::StatusOr<v1::StoredNetwork> DecodeStateFile(std::string_view bytes) {
  if (bytes.size() < static_cast<size_t>(kStateFileHeader)) {
    return absl::DataLossError(absl::StrCat("it has ", bytes.size(), " bytes, too few for a header"));
  }
  if (std::memcmp(bytes.data(), kMagic, kVersionAt) != 0) {
    return absl::DataLossError("it does not begin as a network's file does");
  }
  const std::string_view message = bytes.substr(kStateFileHeader);
  if (const uint64_t length = GetNumber(bytes.substr(kLengthAt, 8)); length != message.size()) {
    return absl::DataLossError(
        absl::StrCat("its header says that ", length, " bytes follow, and ", message.size(), " do"));
  }
  if (GetNumber(bytes.substr(kChecksumAt, 4)) != Checksum(bytes)) {
    return absl::DataLossError("its bytes do not have its checksum");
  }
  if (const uint64_t version = GetNumber(bytes.substr(kVersionAt, 4)); version != kStateFileVersion) {
    return absl::UnimplementedError(
        absl::StrCat("it is of version ", version, "; version ", kStateFileVersion, " is known here"));
  }
  v1::StoredNetwork network;
  if (!network.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return absl::DataLossError("what it holds is no network");
  }
  const uint32_t version = network.checkpoint().format_version();
  if (const absl::Status known = codec::CheckNetworkFormatVersion(version); !known.ok()) {
    return absl::UnimplementedError(absl::StrCat("its checkpoint is of another version: ", known.message()));
  }
  return network;
}

}  // namespace spikeserve::state

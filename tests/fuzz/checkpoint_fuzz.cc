// Checkpoints: as the client reads them from files in both forms, and as the server makes networks of them.

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "codec/checkpoint_codec.h"
#include "codec/nested_tensors.h"
#include "fuzz/fuzzing.h"
#include "spikeserve/client/checkpoint.h"

namespace spikeserve::testing {
namespace {

// A folder for the files, until the process ends; in memory, because checkpoints are synced.
const std::string& Folder() {
  static const std::string& folder = *new std::string([] {
    char name[] = "/dev/shm/spikeserve-checkpoint-fuzz-XXXXXX";
    SPIKESERVE_REQUIRE(mkdtemp(name) != nullptr);
    static const std::string kept = name;
    std::atexit([] { std::filesystem::remove_all(kept); });
    return kept;
  }());
  return folder;
}

void TryFile(const char* name, const std::string& bytes) {
  const std::string path = Folder() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  const auto checkpoint = ReadCheckpoint(path);
  if (!checkpoint.ok()) return;
  // What was read can be written and read.
  SPIKESERVE_REQUIRE(WriteCheckpoint(*checkpoint, path).ok());
  SPIKESERVE_REQUIRE(ReadCheckpoint(path).ok());
}

void TryServer(const std::string& bytes) {
  constexpr int64_t kMaxBytes = 1 << 18;
  v1::CreateNetworkRequest request;
  if (!request.ParseFromString(bytes) || codec::NestedFloatBytes(request) > kMaxBytes) return;
  const auto network = codec::DecodeNetwork(request, kMaxBytes);
  if (!network.ok()) return;
  v1::CreateNetworkRequest encoded, again;
  codec::EncodeNetwork(*network, &encoded);
  const auto copy = codec::DecodeNetwork(encoded, kMaxBytes);
  SPIKESERVE_REQUIRE(copy.ok());
  codec::EncodeNetwork(*copy, &again);
  SPIKESERVE_REQUIRE(encoded.SerializeAsString() == again.SerializeAsString());
}

}  // namespace
}  // namespace spikeserve::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Tensors of bits and of events take up to 64 times their bytes.
  if (size > 1 << 16) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  // An object in JSON begins so, and no field of a checkpoint does: so each input is read in the form that it may have.
  if (!bytes.empty() && bytes[0] == '{') {
    spikeserve::testing::TryFile("checkpoint.json", bytes);
  } else {
    spikeserve::testing::TryFile("checkpoint.pb", bytes);
    spikeserve::testing::TryServer(bytes);
  }
  return 0;
}

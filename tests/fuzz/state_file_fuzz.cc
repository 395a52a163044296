// Files of --state-dir: as they are; and, as no fuzzer guesses a checksum, the message in them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/fuzzing.h"
#include "runtime/engine.h"
#include "state/network_files.h"
#include "state/state_file.h"
#include "state/stored_network.h"
#include "support/fake_disk.h"
#include "support/stored_networks.h"

namespace spikeserve::testing {
namespace {

// Loads the networks of the disk, on which there is one file, and returns how many were taken.
int Load(server::Engine& engine, FakeDisk& disk) {
  bool thrown = false;
  const auto take = [&](const v1::StoredNetwork& stored) {
    thrown = true;
    absl::Status status = state::Restore(stored, engine);
    thrown = false;
    return status;
  };
  const auto taken = state::NetworkFiles(disk.Open()).Load(take, [](const server::Event&) {});
  SPIKESERVE_REQUIRE(taken.ok() && !thrown);
  SPIKESERVE_REQUIRE(engine.networks().All().size() == static_cast<size_t>(*taken));
  return *taken;
}

// The server starts with this file of a network `name`.
void Try(server::Engine& engine, const std::string& name, const std::string& bytes) {
  const std::string file = name + ".network";
  const auto disk = std::make_shared<FakeDisk>();
  disk->Put(file, bytes);
  if (Load(engine, *disk) == 0) {
    // It is left where it was, or set aside.
    const std::vector<std::string> left = disk->Names();
    SPIKESERVE_REQUIRE(left.size() == 1 && (left[0] == file || left[0] == file + ".corrupt"));
    SPIKESERVE_REQUIRE(disk->Bytes(left[0]) == bytes);
    return;
  }
  // It is what it was, also the next time.
  const auto write = [&] {
    const auto all = engine.networks().All();
    SPIKESERVE_REQUIRE(all[0]->name == name);
    SPIKESERVE_REQUIRE(state::NetworkFiles(disk->Open()).Write(state::Store(*all[0])).ok());
    SPIKESERVE_REQUIRE(engine.networks().Remove(name, all[0]->owner).ok());
    return disk->Bytes(file);
  };
  const std::string kept = write();
  SPIKESERVE_REQUIRE(Load(engine, *disk) == 1);
  SPIKESERVE_REQUIRE(write() == kept);
}

server::EngineOptions Options() {
  server::EngineOptions options;
  options.threads = 1;
  options.limits = FuzzLimits();
  return options;
}

}  // namespace
}  // namespace spikeserve::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spikeserve;
  static server::Engine& engine = *new server::Engine(testing::Options());
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  testing::Try(engine, testing::kNetwork, bytes);
  v1::StoredNetwork stored;
  if (stored.ParseFromString(bytes)) testing::Try(engine, stored.network(), *state::EncodeStateFile(stored));
  return 0;
}

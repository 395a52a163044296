// Files of --state-dir: as they are; and, as no fuzzer guesses a checksum, the message in them.

#include <cstdint>
#include <string>

#include "fuzz/fuzzing.h"
#include "runtime/engine.h"
#include "state/state_file.h"
#include "state/stored_network.h"

namespace spikeserve::testing {
namespace {

void Load(server::Engine& engine, const std::string& file) {
  const auto stored = state::DecodeStateFile(file);
  if (!stored.ok() || !state::Restore(*stored, engine).ok()) return;
  // It is what it was, also the next time.
  const auto all = engine.networks().All();
  SPIKESERVE_REQUIRE(all.size() == 1);
  const std::string kept = *state::EncodeStateFile(state::Store(*all[0]));
  SPIKESERVE_REQUIRE(engine.networks().Remove(all[0]->name, all[0]->owner).ok());
  SPIKESERVE_REQUIRE(state::Restore(*state::DecodeStateFile(kept), engine).ok());
  const auto again = engine.networks().All();
  SPIKESERVE_REQUIRE(*state::EncodeStateFile(state::Store(*again.at(0))) == kept);
  SPIKESERVE_REQUIRE(engine.networks().Remove(again[0]->name, again[0]->owner).ok());
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
  testing::Load(engine, bytes);
  v1::StoredNetwork stored;
  if (stored.ParseFromString(bytes)) testing::Load(engine, *state::EncodeStateFile(stored));
  return 0;
}

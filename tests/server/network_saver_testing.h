// Servers whose networks are kept on a disk that tests look into.

#ifndef SPIKESERVE_TESTS_SERVER_NETWORK_SAVER_TESTING_H_
#define SPIKESERVE_TESTS_SERVER_NETWORK_SAVER_TESTING_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "state/network_saver.h"
#include "state/stored_network.h"
#include "suites/training_testing.h"
#include "suites/transport.h"
#include "support/events.h"
#include "support/fake_disk.h"

namespace spikeserve::state {

using testing::FakeDisk;

inline const std::vector<int64_t> kLabels = {0, 1, 1, 0, 1, 0, 0, 1};

// A server without a transport, which keeps its networks on a disk.
struct Service {
  explicit Service(const std::shared_ptr<FakeDisk>& disk, server::EngineOptions options = {}) : files(disk->Open()) {
    auto owned = std::make_unique<server::Engine>(std::move(options));
    engine = owned.get();
    client.emplace(MakeInProcessConnection(std::move(owned)));
    const auto taken = files.Load([&](const auto& network) { return Restore(network, *engine); }, events(),
                                  [] { return false; }, [&] { return RoomForFile(*engine); });
    EXPECT_TRUE(taken.ok()) << taken.status();
    loaded = taken.value_or(-1);
    engine->networks().StartIdleTimes();
    // In most of these tests it saves when it is told to.
    SaveEvery(absl::Hours(24));
  }

  void SaveEvery(absl::Duration interval) { saver.emplace(files, engine->networks(), interval, events()); }

  server::EventSink events() {
    return [this](const server::Event& event) { said.push_back(testing::Text(event)); };
  }

  std::string Create() {
    const auto made = client->Call(CreateNetworkArgs{.layers = testing::TwoClassLayers()});
    EXPECT_TRUE(made.ok()) << made.status();
    return made->network;
  }
  NetworkHandle At(const std::string& network) { return client->AttachNetwork(network); }
  std::shared_ptr<server::HeldNetwork> Held(const std::string& network) const {
    for (const auto& held : engine->networks().All()) {
      if (held->name == network) return held;
    }
    return nullptr;
  }
  absl::StatusOr<TrainStepArgs::Result> Train(const std::string& network, std::optional<uint64_t> step = std::nullopt) {
    const testing::Numbers input({5, 8, 6}, static_cast<uint32_t>(step.value_or(100)));
    return At(network).TrainStep(
        {.input = input,
         .labels = kLabels,
         .options = {.optimizer = Adam{.learning_rate = 0.02}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}},
         .step = step});
  }
  // Until the networks' strands have nothing to do: a save has what it needs a moment before they are done.
  void WaitForStrands() const {
    for (const auto& held : engine->networks().All()) {
      while (held->strand->busy()) std::this_thread::yield();
    }
  }
  // All that it is, and its next_step.
  std::string Everything(const std::string& network) {
    const auto got =
        At(network).Get({.include_state = true, .include_optimizer_state = true, .include_gradients = true});
    EXPECT_TRUE(got.ok()) << got.status();
    return absl::StrCat(got->next_step, " ", testing::BitsOf(*got));
  }
  std::vector<std::string> Networks() {
    std::vector<std::string> names;
    const auto listed = client->ListNetworks();
    for (const auto& entry : *listed) names.push_back(entry.network);
    return names;
  }

  NetworkFiles files;
  std::optional<Client> client;  // Owns the engine.
  server::Engine* engine;
  int loaded;
  std::vector<std::string> said;
  std::optional<NetworkSaver> saver;
};

class NetworkSaverTest : public ::testing::Test {
 protected:
  // The files that were begun since the last time.
  int Begun() {
    const int begun = static_cast<int>(
        std::count_if(disk_->operations.begin(), disk_->operations.end(),
                      [](const std::string& operation) { return absl::StartsWith(operation, "create "); }));
    disk_->operations.clear();
    return begun;
  }

  const std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
};

}  // namespace spikeserve::state

#endif  // SPIKESERVE_TESTS_SERVER_NETWORK_SAVER_TESTING_H_

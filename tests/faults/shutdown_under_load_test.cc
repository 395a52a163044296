#include <signal.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/client.h"
#include "support/server_process.h"

namespace spikeserve {
namespace {

using testing::ServerProcess;

constexpr int64_t kSteps = 50;

// What the callers have seen.
struct Outcomes {
  std::atomic<int64_t> answered = 0;
  std::atomic<int64_t> unavailable = 0;
};

// Makes one call after the other until the server is gone; each is answered rightly, or fails UNAVAILABLE.
class Callers {
 public:
  explicit Callers(const std::string& address) : client_(*Client::Connect(address, {.retry = {.max_attempts = 1}})) {
    threads_.emplace_back([this] { CallForEver([this] { return CallFunction(20); }); });
    threads_.emplace_back([this] { CallForEver([this] { return CallFunction(20'000); }); });
    threads_.emplace_back([this] { StepForEver(); });
    threads_.emplace_back([this] { RunForEver(); });
  }
  ~Callers() { Join(); }

  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  const Outcomes& outcomes() const { return outcomes_; }

 private:
  // Whether the caller may go on.
  bool Count(const absl::Status& status) {
    if (status.ok()) {
      ++outcomes_.answered;
      return true;
    }
    ++outcomes_.unavailable;
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    return false;
  }

  template <typename Call>
  void CallForEver(Call call) {
    while (Count(call())) {
    }
  }

  absl::Status CallFunction(int64_t neurons) {
    const RowMatrix<float> v = RowMatrix<float>::Constant(kSteps, neurons, 0.5f);
    const auto result = client_.SpikeCluster({.v = v, .v_threshold = 0.4f});
    if (result.ok()) EXPECT_EQ(result->n_o.values<float>()[neurons - 1], 1);
    return result.status();
  }

  // An integrator that counts its steps: one lost or carried out twice shows.
  absl::StatusOr<NetworkHandle> MakeCounter() {
    absl::StatusOr<NetworkHandle> network =
        client_.CreateNetwork({{.name = "n", .kind = IfNode{{.v_threshold = 1e9f}}}});
    // The server, and the network with it, goes before the client.
    if (network.ok()) network->Release();
    return network;
  }

  void StepForEver() {
    const absl::StatusOr<NetworkHandle> network = MakeCounter();
    const std::vector<float> one = {1};
    float steps = 0;
    if (!Count(network.status())) return;
    CallForEver([&] {
      ForwardArgs args{.input = TensorView(absl::MakeConstSpan(one), {1, 1, 1})};
      args.records = {{.layer = "n", .v_before_reset = true}};
      const auto result = network->Forward(args);
      if (result.ok()) EXPECT_EQ(result->records[0].v_before_reset->values<float>()[0], ++steps);
      return result.status();
    });
  }

  void RunForEver() {
    const absl::StatusOr<NetworkHandle> network = MakeCounter();
    if (!Count(network.status())) return;
    absl::StatusOr<NetworkRun> run = network->Run({.records = {{.layer = "n", .v_before_reset = true}}});
    if (!Count(run.status())) return;
    const std::vector<float> one = {1};
    float steps = 0;
    CallForEver([&] {
      const auto result = run->Step(TensorView(absl::MakeConstSpan(one), {1, 1, 1}));
      if (result.ok()) EXPECT_EQ(result->records[0].v_before_reset->values<float>()[0], ++steps);
      return result.status();
    });
  }

  Client client_;
  Outcomes outcomes_;
  std::vector<std::thread> threads_;
};

TEST(ShutdownUnderLoad, FiftyTimesEveryCallIsAnsweredOrFailsUnavailable) {
  std::mt19937 random(50);
  for (int i = 0; i < 50; ++i) {
    SCOPED_TRACE(i);
    ServerProcess server({"--listen=127.0.0.1:0", "--drain-timeout=5"});
    Callers callers(server.WaitForAddresses().at(0));
    const int64_t calls = static_cast<int64_t>(random() % 200);
    while (server.Running() && callers.outcomes().answered < calls) absl::SleepFor(absl::Microseconds(100));
    server.Signal(SIGTERM);
    callers.Join();
    EXPECT_EQ(server.WaitForExit(), 0) << server.Stderr();
    EXPECT_GE(callers.outcomes().answered, calls);
  }
}

}  // namespace
}  // namespace spikeserve

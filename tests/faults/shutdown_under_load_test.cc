#include <signal.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/client.h"
#include "support/server_process.h"
#include "support/test_folder.h"

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

// A network that counts its steps, and the caller who makes them, one numbered change after the other, until the server
// is gone.
class NumberedCaller {
 public:
  // Calls `on_answer` after each.
  NumberedCaller(const Client& client, std::function<void()> on_answer) : client_(client) {
    absl::StatusOr<NetworkHandle> network =
        client_.CreateNetwork({{.name = "n", .kind = IfNode{{.v_threshold = 1e9f}}}});
    EXPECT_TRUE(network.ok()) << network.status();
    if (!network.ok()) return;
    network->Release();
    name_ = network->name();
    thread_ = std::thread([this, on_answer = std::move(on_answer)] {
      while (StepOnce()) on_answer();
    });
  }
  ~NumberedCaller() { Join(); }

  void Join() {
    if (thread_.joinable()) thread_.join();
  }

  // After Join: that the server has all that was answered, and at most the change beside it whose answer was lost.
  void ExpectKept(const Client& server) const {
    const auto got = server.AttachNetwork(name_).Get(GetNetworkArgs{.include_state = true});
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_GE(got->next_step, answered_);
    EXPECT_LE(got->next_step, answered_ + 1);
    if (got->next_step == 0) return;
    ASSERT_EQ(got->state.layers.size(), 1u);
    EXPECT_EQ(got->state.layers[0].v, std::vector<float>{static_cast<float>(got->next_step)});
  }

 private:
  bool StepOnce() {
    const std::vector<float> one = {1};
    const auto result = client_.AttachNetwork(name_).Forward(
        {.input = TensorView(absl::MakeConstSpan(one), {1, 1, 1}), .step = answered_});
    if (!result.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(result.status())) << result.status();
      return false;
    }
    EXPECT_EQ(result->next_step, ++answered_);
    return true;
  }

  Client client_;
  std::string name_;
  // The changes that were answered; the thread's until Join.
  uint64_t answered_ = 0;
  std::thread thread_;
};

TEST(ShutdownUnderLoad, EveryChangeThatWasAnsweredIsThereAfterTheRestart) {
  const testing::TestFolder folder;
  const std::vector<std::string> flags = {"--listen=127.0.0.1:0", "--drain-timeout=5",
                                          "--state-dir=" + folder.Path("state"), "--state-interval=0.01"};
  std::mt19937 random(8);
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    std::vector<std::unique_ptr<NumberedCaller>> callers;
    {
      ServerProcess server(flags);
      const Client client = *Client::Connect(server.WaitForAddresses().at(0), {.retry = {.max_attempts = 1}});
      std::atomic<int64_t> answers = 0;
      for (int k = 0; k < 4; ++k) callers.push_back(std::make_unique<NumberedCaller>(client, [&] { ++answers; }));
      const int64_t calls = static_cast<int64_t>(random() % 300);
      while (server.Running() && answers < calls) absl::SleepFor(absl::Microseconds(100));
      server.Signal(SIGTERM);
      for (const auto& caller : callers) caller->Join();
      EXPECT_EQ(server.WaitForExit(), 0) << server.Stderr();
    }
    ServerProcess server(flags);
    const Client client = *Client::Connect(server.WaitForAddresses().at(0));
    for (const auto& caller : callers) caller->ExpectKept(client);
    EXPECT_EQ(server.End(SIGTERM), 0) << server.Stderr();
  }
}

}  // namespace
}  // namespace spikeserve

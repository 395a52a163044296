// Networks that outlive the server's process, which is the built program.

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "state/posix_directory.h"
#include "state/state_file.h"
#include "suites/training_testing.h"
#include "suites/transport.h"
#include "support/server_process.h"
#include "support/test_folder.h"

namespace spikeserve::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class StateRestartTest : public ::testing::Test {
 protected:
  // A server on the state directory; `interval` in seconds.
  ServerProcess Start(const std::string& interval = "1e6") const {
    return ServerProcess({"--listen=127.0.0.1:0", "--state-dir=" + state_, "--state-interval=" + interval});
  }
  static Client Connect(ServerProcess& server) {
    EXPECT_NE(server.address(), "") << server.Stderr();
    return *Client::Connect(server.address());
  }
  static std::string Create(const Client& client) {
    const auto made = client.Call(CreateNetworkArgs{.layers = TwoClassLayers()});
    EXPECT_TRUE(made.ok()) << made.status();
    return made->network;
  }
  // Networks of 9 MB.
  static void CreateLarge(const Client& client, int networks) {
    for (int i = 0; i < networks; ++i) {
      const LinearLayer large{RowMatrix<float>::Ones(1500, 1500), {}};
      ASSERT_TRUE(client.Call(CreateNetworkArgs{.layers = {{.kind = large}}}).ok());
    }
  }
  // The training step of that number.
  absl::StatusOr<TrainStepArgs::Result> Train(const NetworkHandle& network, int step) const {
    return network.TrainStep(
        {.input = batches_.Input(step),
         .labels = batches_.labels,
         .options = {.optimizer = Adam{.learning_rate = 0.02}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}},
         .step = step});
  }
  void ExpectTrains(const NetworkHandle& network, int from, int to) const {
    for (int step = from; step < to; ++step) {
      const auto result = Train(network, step);
      ASSERT_TRUE(result.ok()) << result.status();
    }
  }
  // All that a network is after so many steps on a server that was never restarted.
  std::string Uninterrupted(int steps) const {
    const Client client = *Client::InProcess();
    const NetworkHandle network = *client.CreateNetwork(TwoClassLayers());
    ExpectTrains(network, 0, steps);
    return Everything(network);
  }
  static std::string Everything(const NetworkHandle& network) {
    const auto got = network.Get({.include_state = true, .include_optimizer_state = true, .include_gradients = true});
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? absl::StrCat(got->next_step, " ", BitsOf(*got)) : "";
  }

  std::string File(const std::string& network) const { return absl::StrCat(state_, "/", network, ".network"); }
  static std::string Bytes(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }
  // Waits until the network's file has its change before `next_step`.
  void AwaitSaved(const std::string& network, uint64_t next_step) const {
    Await([&] {
      const auto stored = state::DecodeStateFile(Bytes(File(network)));
      return stored.ok() && stored->next_step() == next_step;
    });
  }
  template <typename Condition>
  static void Await(const Condition& condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  // Takes all that the disk has left.
  void FillDisk() const {
    std::ofstream ballast(state_ + "/ballast");
    while (ballast.put('x').flush()) {
    }
  }

  const TestFolder folder_;
  const std::string state_ = folder_.Path("state");
  const Batches batches_;
};

TEST_F(StateRestartTest, TrainingGoesOnBitForBitAfterSigterm) {
  std::string name;
  std::optional<TrainStepArgs::Result> last;
  {
    ServerProcess server = Start();
    const Client client = Connect(server);
    name = Create(client);
    ExpectTrains(client.AttachNetwork(name), 0, 3);
    last = *Train(client.AttachNetwork(name), 3);
    EXPECT_EQ(server.End(SIGTERM), 0);
    EXPECT_THAT(server.Log(), ElementsAre("info: loading networks", "info: started", "info: listening",
                                          "info: draining", "info: writing networks", "info: ended"));
  }
  ServerProcess server = Start();
  const Client client = Connect(server);
  Await([&] { return server.Log().size() == 4; });
  EXPECT_THAT(server.Log(),
              ElementsAre("info: loading networks", "info: networks loaded", "info: started", "info: listening"));
  EXPECT_THAT(server.Stderr(), HasSubstr("\"networks\":1}"));
  const NetworkHandle network = client.AttachNetwork(name);
  EXPECT_EQ(Everything(network), Uninterrupted(4));
  // A caller that did not get the last answer asks again.
  const auto repeated = Train(network, 3);
  ASSERT_TRUE(repeated.ok()) << repeated.status();
  ExpectSame(*repeated, *last);
  ExpectTrains(network, 4, 8);
  EXPECT_EQ(Everything(network), Uninterrupted(8));
  EXPECT_EQ(server.End(SIGTERM), 0);
}

TEST_F(StateRestartTest, AKilledServerLosesAtMostWhatWasSinceItsLastWrite) {
  std::string name;
  {
    ServerProcess server = Start("0.02");
    const Client client = Connect(server);
    name = Create(client);
    ExpectTrains(client.AttachNetwork(name), 0, 3);
    AwaitSaved(name, 3);
    ExpectTrains(client.AttachNetwork(name), 3, 6);
    EXPECT_EQ(server.End(SIGKILL), -SIGKILL);
  }
  ServerProcess server = Start("0.02");
  const NetworkHandle network = Connect(server).AttachNetwork(name);
  const auto got = network.Get();
  ASSERT_TRUE(got.ok()) << got.status();
  const int steps = static_cast<int>(got->next_step);
  EXPECT_GE(steps, 3);
  EXPECT_LE(steps, 6);
  EXPECT_EQ(Everything(network), Uninterrupted(steps));
  ExpectTrains(network, steps, 8);
  EXPECT_EQ(Everything(network), Uninterrupted(8));
}

TEST_F(StateRestartTest, AServerThatIsKilledWhileItWritesComesUpEachTime) {
  std::string name;
  for (int round = 0; round < 5; ++round) {
    // As fast as it can.
    ServerProcess server = Start("1e-6");
    const Client client = Connect(server);
    if (round == 0) {
      name = Create(client);
      AwaitSaved(name, 0);
    }
    const NetworkHandle network = client.AttachNetwork(name);
    const auto got = network.Get();
    ASSERT_TRUE(got.ok()) << got.status();
    const int steps = static_cast<int>(got->next_step);
    EXPECT_EQ(Everything(network), Uninterrupted(steps));
    ExpectTrains(network, steps, steps + 4 + round);
    EXPECT_EQ(server.End(SIGKILL), -SIGKILL);
    EXPECT_THAT(server.Stderr(), Not(HasSubstr("corrupt")));
  }
}

TEST_F(StateRestartTest, ASignalWhileNetworksAreLoadedEndsTheServerAndKeepsThem) {
  constexpr int kNetworks = 20;
  {
    ServerProcess server = Start();
    CreateLarge(Connect(server), kNetworks);
    EXPECT_EQ(server.End(SIGTERM), 0);
  }
  // A server may be too quick for the signal, but not each time.
  bool in_time = false;
  for (int i = 0; i < 10 && !in_time; ++i) {
    ServerProcess server = Start();
    Await([&] { return ::testing::Value(server.Log(), ::testing::Contains("info: loading networks")); });
    EXPECT_EQ(server.End(SIGTERM), 0);
    in_time = ::testing::Value(server.Log(),
                               ElementsAre("info: loading networks", "info: ended before all networks were loaded"));
  }
  EXPECT_TRUE(in_time);
  ServerProcess next = Start();
  EXPECT_EQ(Connect(next).ListNetworks()->size(), size_t{kNetworks});
}

// All is written by then; what is left is to give memory back.
TEST_F(StateRestartTest, ASecondSignalAfterTheLastWriteLeavesTheExitCode) {
  constexpr int kNetworks = 10;
  {
    // Within a tenth of a second it would be the first signal once more.
    ServerProcess server({"--listen=127.0.0.1:0", "--state-dir=" + state_, "--drain-delay=0.2"});
    CreateLarge(Connect(server), kNetworks);
    server.Signal(SIGTERM);
    Await([&] { return ::testing::Value(server.Log(), Contains("info: ended")); });
    while (server.Running()) {
      server.Signal(SIGTERM);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(server.WaitForExit(), 0);
    EXPECT_THAT(server.Stderr(), Not(HasSubstr("not written")));
  }
  ServerProcess next = Start();
  EXPECT_EQ(Connect(next).ListNetworks()->size(), size_t{kNetworks});
}

TEST_F(StateRestartTest, ALoadedNetworkThatNobodyCallsExpires) {
  std::string name;
  {
    ServerProcess server = Start();
    name = Create(Connect(server));
    EXPECT_EQ(server.End(SIGTERM), 0);
  }
  ServerProcess server(
      {"--listen=127.0.0.1:0", "--state-dir=" + state_, "--state-interval=0.02", "--network-idle-timeout=0.3"});
  EXPECT_NE(server.address(), "");
  Await([&] { return !std::filesystem::exists(File(name)); });
  EXPECT_EQ(server.End(SIGTERM), 0);
}

TEST_F(StateRestartTest, ADeletedNetworkDoesNotComeBack) {
  std::string name, kept;
  {
    ServerProcess server = Start("0.02");
    const Client client = Connect(server);
    name = Create(client);
    kept = Create(client);
    AwaitSaved(name, 0);
    EXPECT_TRUE(client.AttachNetwork(name).Delete().ok());
    Await([&] { return !std::filesystem::exists(File(name)); });
    EXPECT_EQ(server.End(SIGTERM), 0);
  }
  ServerProcess server = Start();
  const auto networks = Connect(server).ListNetworks();
  ASSERT_TRUE(networks.ok()) << networks.status();
  ASSERT_EQ(networks->size(), 1u);
  EXPECT_EQ(networks->front().network, kept);
}

TEST_F(StateRestartTest, ACorruptFileIsSetAsideAndTheServerComesUp) {
  std::string broken, kept;
  {
    ServerProcess server = Start();
    const Client client = Connect(server);
    broken = Create(client);
    kept = Create(client);
    EXPECT_EQ(server.End(SIGTERM), 0);
  }
  std::filesystem::resize_file(File(broken), 1000);
  ServerProcess server = Start();
  const Client client = Connect(server);
  EXPECT_TRUE(client.AttachNetwork(kept).Get().ok());
  const auto got = client.AttachNetwork(broken).Get();
  EXPECT_EQ(got.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(got.status().message()), Not(HasSubstr(folder_.path())));
  // A log is written a little later.
  Await([&] {
    return ::testing::Value(server.Log(), Contains("error: network not loaded; its file is corrupt, and renamed"));
  });
  EXPECT_THAT(server.Stderr(), HasSubstr(broken + ".network.corrupt"));
  EXPECT_FALSE(std::filesystem::exists(File(broken)));
  EXPECT_TRUE(std::filesystem::exists(File(broken) + ".corrupt"));
}

TEST_F(StateRestartTest, AFileThatIsLargerThanTheLimitsAllowIsLeftUnread) {
  std::string name;
  {
    ServerProcess server = Start();
    name = Create(Connect(server));
    EXPECT_EQ(server.End(SIGTERM), 0);
  }
  std::filesystem::resize_file(File(name), 1 << 30);  // It would be found to be corrupt.
  ServerProcess server({"--listen=127.0.0.1:0", "--state-dir=" + state_, "--max-network-bytes=1000000"});
  EXPECT_TRUE(Connect(server).ListNetworks()->empty());
  EXPECT_EQ(server.End(SIGTERM), 0);
  EXPECT_THAT(server.Log(), Contains("warning: network not loaded; its file is left as it is"));
  EXPECT_TRUE(std::filesystem::exists(File(name)));
}

TEST_F(StateRestartTest, ADirectoryThatCannotBeUsedEndsTheStartWithOneLine) {
  const auto expect_refused = [&](const std::string& path, const std::string& why) {
    ServerProcess server({"--listen=127.0.0.1:0", "--state-dir=" + path});
    EXPECT_EQ(server.WaitForExit(), 2);
    EXPECT_THAT(server.Stderr(), AllOf(StartsWith("spikeserve: --state-dir: "), HasSubstr(path), EndsWith(why + "\n")));
    EXPECT_EQ(server.Stderr().find('\n') + 1, server.Stderr().size());
  };
  expect_refused(folder_.Path("none/state"), "No such file or directory");
  std::ofstream(folder_.Path("file")) << "a file";
  expect_refused(folder_.Path("file"), "Not a directory");
  ServerProcess first = Start();
  ASSERT_NE(first.address(), "");
  expect_refused(state_, "another server uses " + state_);
}

TEST_F(StateRestartTest, AFullDiskIsToldOnceAndWhatWasWrittenBeforeStays) {
  // The mount is seen by this process and its children only, and goes with them.
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    GTEST_SKIP() << "may not mount; NetworkSaverTest lets a simulated disk be full";
  }
  std::filesystem::create_directories(state_);
  ASSERT_EQ(mount("tmpfs", state_.c_str(), "tmpfs", 0, "size=128k"), 0);
  std::string name;
  {
    ServerProcess server = Start("0.02");
    const Client client = Connect(server);
    name = Create(client);
    const NetworkHandle network = client.AttachNetwork(name);
    ExpectTrains(network, 0, 2);
    AwaitSaved(name, 2);
    FillDisk();
    ExpectTrains(network, 2, 4);
    Await([&] { return absl::StrContains(server.Stderr(), "No space left on device"); });
    ExpectTrains(network, 4, 5);
    EXPECT_EQ(state::DecodeStateFile(Bytes(File(name)))->next_step(), 2u);
    std::filesystem::remove(state_ + "/ballast");
    AwaitSaved(name, 5);
    Await([&] { return absl::StrContains(server.Stderr(), "all networks are written again"); });
    EXPECT_THAT(server.Log(), ElementsAre("info: loading networks", "info: started", "info: listening",
                                          "error: not all networks are written; tried again at each --state-interval",
                                          "info: all networks are written again"));
    EXPECT_EQ(server.End(SIGKILL), -SIGKILL);
  }
  {
    ServerProcess server = Start();
    const NetworkHandle network = Connect(server).AttachNetwork(name);
    EXPECT_EQ(Everything(network), Uninterrupted(5));
    FillDisk();
    ExpectTrains(network, 5, 6);
    EXPECT_EQ(server.End(SIGTERM), 4) << "the last step is not written";
    EXPECT_EQ(server.Log().back(), "error: ended, and not all networks are written");
  }
  EXPECT_EQ(umount(state_.c_str()), 0);
}

}  // namespace
}  // namespace spikeserve::testing

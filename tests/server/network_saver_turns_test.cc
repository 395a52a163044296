// When networks are saved: by the clock, beside long calls, and for the last time.

#include <chrono>
#include <condition_variable>
#include <future>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/network_saver_testing.h"
#include "state/network_saver.h"
#include "state/state_file.h"

namespace spikeserve::state {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A call on a network that takes until its end.
class LongCall {
 public:
  LongCall(const Service& service, const std::string& network) {
    service.Held(network)->strand->Post([end = end_] { end->wait(); });
  }
  ~LongCall() { End(); }

  void End() {
    if (!std::exchange(ended_, true)) end_->count_down();
  }

 private:
  const std::shared_ptr<std::latch> end_ = std::make_shared<std::latch>(1);
  bool ended_ = false;
};

// The networks whose files are replaced, as the saver's thread does so.
class Replaced {
 public:
  // Must be there until the saver is gone.
  explicit Replaced(FakeDisk& disk) {
    disk.before = [this](const std::string& operation, int) {
      const std::lock_guard lock(mutex_);
      if (absl::StartsWith(operation, "rename ")) ++count_[operation.substr(7, 32)];
      replaced_.notify_all();
      return absl::OkStatus();
    };
  }

  int Count(const std::string& network) {
    const std::lock_guard lock(mutex_);
    return count_[network];
  }
  // Whether it was replaced so often within half a minute.
  bool Await(const std::string& network, int times) {
    std::unique_lock lock(mutex_);
    return replaced_.wait_for(lock, std::chrono::seconds(30), [&] { return count_[network] >= times; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable replaced_;
  std::map<std::string, int> count_;  // Guarded by mutex_.
};

// A long call takes one thread of these.
server::EngineOptions TwoThreads() {
  server::EngineOptions options;
  options.threads = 2;
  return options;
}

using NetworkSaverTurnsTest = NetworkSaverTest;

// Nothing else was saved until it ended.
TEST_F(NetworkSaverTurnsTest, ALongCallHoldsUpTheSavingOfItsOwnNetworkOnly) {
  Replaced replaced(*disk_);
  Service service(disk_, TwoThreads());
  const std::string busy = service.Create(), other = service.Create();
  const absl::Time begin = absl::Now();
  LongCall call(service, busy);
  service.SaveEvery(absl::Milliseconds(1));
  ASSERT_TRUE(replaced.Await(other, 1));
  for (int times = 2; times <= 4; ++times) {
    ASSERT_TRUE(service.Train(other).ok());
    ASSERT_TRUE(replaced.Await(other, times));
  }
  EXPECT_EQ(replaced.Count(busy), 0);
  EXPECT_EQ(service.saver->statistics().last_success, absl::InfinitePast()) << "one network is in no file yet";
  EXPECT_EQ(service.saver->statistics().failures, 0) << "to wait is no failure";
  call.End();
  EXPECT_TRUE(replaced.Await(busy, 1)) << "it asks for no other turn";
  EXPECT_TRUE(service.saver->SaveLast());
  EXPECT_GE(service.saver->statistics().last_success, begin);
  EXPECT_THAT(service.said, IsEmpty());
  Service second(disk_);
  for (const std::string& name : {busy, other}) EXPECT_EQ(second.Everything(name), service.Everything(name));
}

// Long calls on other networks, or on none, take them.
TEST_F(NetworkSaverTurnsTest, NetworksAreSavedWhileAllThreadsCompute) {
  Replaced replaced(*disk_);
  Service service(disk_, TwoThreads());
  const std::string first = service.Create(), second = service.Create(), idle = service.Create();
  LongCall on_first(service, first), on_second(service, second);
  service.SaveEvery(absl::Milliseconds(1));
  EXPECT_TRUE(replaced.Await(idle, 1));
}

TEST_F(NetworkSaverTurnsTest, ALastSuccessIsOfATimeWhenTheBusyNetworkWasWrittenToo) {
  Replaced replaced(*disk_);
  Service service(disk_, TwoThreads());
  const std::string busy = service.Create(), other = service.Create();
  ASSERT_TRUE(service.saver->Save());
  const absl::Time saved = absl::Now();
  EXPECT_LE(service.saver->statistics().last_success, saved);
  ASSERT_TRUE(service.Train(busy).ok());
  service.WaitForStrands();
  LongCall call(service, busy);
  service.SaveEvery(absl::Milliseconds(1));
  for (int times = 2; times <= 3; ++times) {
    ASSERT_TRUE(service.Train(other).ok());
    ASSERT_TRUE(replaced.Await(other, times));
    EXPECT_LE(service.saver->statistics().last_success, saved);
  }
  call.End();
  while (service.saver->statistics().last_success <= saved) std::this_thread::yield();
  EXPECT_EQ(replaced.Count(busy), 2);
}

TEST_F(NetworkSaverTurnsTest, TheLastSaveWaitsForALongCall) {
  Service service(disk_, TwoThreads());
  const std::string busy = service.Create();
  ASSERT_TRUE(service.Train(busy).ok());
  LongCall call(service, busy);
  auto saved = std::async(std::launch::async, [&] { return service.saver->SaveLast(); });
  EXPECT_EQ(saved.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  call.End();
  EXPECT_TRUE(saved.get());
  EXPECT_EQ(DecodeStateFile(disk_->Bytes(busy + ".network"))->next_step(), 1u);
}

TEST_F(NetworkSaverTurnsTest, ANetworkThatIsDeletedInALongCallIsNotWrittenAfterIt) {
  Replaced replaced(*disk_);
  Service service(disk_, TwoThreads());
  const std::string busy = service.Create(), other = service.Create();
  const auto held = service.Held(busy);  // As a call that waits has it.
  LongCall call(service, busy);
  service.SaveEvery(absl::Milliseconds(1));
  // After a second turn has begun, it is asked for sure.
  ASSERT_TRUE(replaced.Await(other, 1));
  ASSERT_TRUE(service.Train(other).ok());
  ASSERT_TRUE(replaced.Await(other, 2));
  ASSERT_TRUE(service.engine->networks().Remove(busy, held->owner).ok());
  EXPECT_TRUE(service.saver->Save());
  call.End();
  while (held->strand->busy()) std::this_thread::yield();
  EXPECT_TRUE(service.saver->SaveLast());
  EXPECT_EQ(replaced.Count(busy), 0);
  EXPECT_THAT(disk_->Names(), ElementsAre(other + ".network"));
}

// So that one network at a time takes more memory; and its calls do not wait for the disk.
TEST_F(NetworkSaverTurnsTest, ANetworkWhoseCallEndsDuringAWriteIsEncodedAfterIt) {
  Service service(disk_, TwoThreads());
  const std::string busy = service.Create(), other = service.Create();
  LongCall call(service, busy);
  std::latch writing(1), go_on(1);
  disk_->before = [&, first = true](const std::string& operation, int) mutable {
    if (operation == "write" && std::exchange(first, false)) {
      writing.count_down();
      go_on.wait();
    }
    return absl::OkStatus();
  };
  auto saved = std::async(std::launch::async, [&] { return service.saver->Save(); });
  writing.wait();
  call.End();
  service.WaitForStrands();
  EXPECT_TRUE(service.Train(busy).ok());
  go_on.count_down();
  EXPECT_TRUE(saved.get());
  EXPECT_EQ(DecodeStateFile(disk_->Bytes(busy + ".network"))->next_step(), 1u);
  EXPECT_THAT(disk_->Names(), SizeIs(2));
}

TEST(NetworkSaverTurns, SavesByItselfAtEachInterval) {
  const auto disk = std::make_shared<FakeDisk>();
  std::latch written(1);
  Service service(disk);
  service.saver.reset();
  disk->before = [&](const std::string& operation, int) {
    if (operation == "sync") written.count_down();
    return absl::OkStatus();
  };
  service.Create();
  NetworkSaver saver(service.files, service.engine->networks(), absl::Milliseconds(1), service.events());
  written.wait();
}

TEST(NetworkSaverTurns, SavesNoMoreAfterTheLastTime) {
  const auto disk = std::make_shared<FakeDisk>();
  Service service(disk);
  service.saver.reset();
  const std::string first = service.Create();
  NetworkSaver saver(service.files, service.engine->networks(), absl::Milliseconds(1), service.events());
  EXPECT_TRUE(saver.SaveLast());
  EXPECT_THAT(disk->Names(), ElementsAre(first + ".network"));
  service.Create();
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_THAT(disk->Names(), SizeIs(1));
}

}  // namespace
}  // namespace spikeserve::state

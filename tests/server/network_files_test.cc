#include "state/network_files.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "state/state_file.h"
#include "support/events.h"
#include "support/fake_disk.h"
#include "support/stored_networks.h"

namespace spikeserve::state {
namespace {

using ::testing::AllOf;
using testing::Crash;
using ::testing::ElementsAre;
using testing::FakeDisk;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kCrashes;
using testing::kNetwork;
using testing::OneStoredNeuron;
using ::testing::StartsWith;

const std::string kFile = kNetwork + ".network";

struct Loaded {
  std::vector<v1::StoredNetwork> networks;
  std::vector<std::string> said;
};

Loaded Load(NetworkFiles& files, const absl::Status& answer = absl::OkStatus()) {
  Loaded loaded;
  const auto taken = files.Load(
      [&](const v1::StoredNetwork& network) {
        if (answer.ok()) loaded.networks.push_back(network);
        return answer;
      },
      [&](const server::Event& event) { loaded.said.push_back(testing::Text(event)); });
  EXPECT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(*taken, static_cast<int>(loaded.networks.size()));
  return loaded;
}

Loaded Load(FakeDisk& disk) {
  NetworkFiles files(disk.Open());
  return Load(files);
}

// The next_step of the only network, which is whole; -1 where there is none.
int OnlyStep(FakeDisk& disk) {
  const Loaded loaded = Load(disk);
  EXPECT_THAT(loaded.said, IsEmpty());
  if (loaded.networks.empty()) return -1;
  EXPECT_EQ(loaded.networks.size(), 1u);
  const auto step = loaded.networks[0].next_step();
  EXPECT_EQ(loaded.networks[0].SerializeAsString(), OneStoredNeuron(step).SerializeAsString());
  return static_cast<int>(step);
}

// A disk on which the network is kept before its step 1, or not at all.
std::shared_ptr<FakeDisk> Disk(bool kept) {
  auto disk = std::make_shared<FakeDisk>();
  if (kept) {
    EXPECT_TRUE(NetworkFiles(disk->Open()).Write(OneStoredNeuron(1)).ok());
  }
  disk->operations.clear();
  disk->max_write = 17;
  return disk;
}

// Does `change` on such a disk, and counts the operations that it takes.
template <typename Change>
int Operations(bool kept, const Change& change) {
  const auto disk = Disk(kept);
  NetworkFiles files(disk->Open());
  EXPECT_TRUE(change(files).ok());
  return static_cast<int>(disk->operations.size());
}

// Lets the machine crash after every number of operations of `change`, in every way: `before` or `after` is there
// then, and `after` once `change` has returned.
template <typename Change>
void ExpectBeforeOrAfterEachCrash(bool kept, const Change& change, int before, int after) {
  const int operations = Operations(kept, change);
  ASSERT_GE(operations, 2);
  for (const Crash crash : kCrashes) {
    bool seen_before = false;
    for (int k = 0; k <= operations; ++k) {
      SCOPED_TRACE(absl::StrCat("after ", k, " of ", operations, " operations"));
      const auto disk = Disk(kept);
      disk->before = [k](const std::string&, int number) {
        return number < k ? absl::OkStatus() : absl::AbortedError("the machine is down");
      };
      NetworkFiles files(disk->Open());
      EXPECT_EQ(change(files).ok(), k == operations);
      disk->Restart(crash);
      const int step = OnlyStep(*disk);
      EXPECT_TRUE(step == after || (step == before && k < operations)) << step;
      seen_before |= step == before;
    }
    EXPECT_TRUE(seen_before);
  }
}

absl::Status WriteNew(NetworkFiles& files) { return files.Write(OneStoredNeuron(2)); }
absl::Status Remove(NetworkFiles& files) { return files.Remove(kNetwork); }

TEST(NetworkFiles, ACrashInAReplacementLeavesTheOldNetworkOrTheNewOne) {
  ExpectBeforeOrAfterEachCrash(/*kept=*/true, WriteNew, 1, 2);
}

TEST(NetworkFiles, ACrashInTheFirstWriteLeavesTheNetworkOrNone) {
  ExpectBeforeOrAfterEachCrash(/*kept=*/false, WriteNew, -1, 2);
}

TEST(NetworkFiles, ACrashInARemovalLeavesTheNetworkOrNone) {
  ExpectBeforeOrAfterEachCrash(/*kept=*/true, Remove, 1, -1);
}

// Such as a full disk, or an fsync that fails.
TEST(NetworkFiles, AnOperationThatFailsLeavesTheOldNetworkOrTheNewOneAndTheNextWriteMakesUpForIt) {
  for (const bool kept : {true, false}) {
    const int operations = Operations(kept, WriteNew);
    for (int k = 0; k < operations; ++k) {
      SCOPED_TRACE(absl::StrCat("operation ", k, " of ", operations));
      const auto disk = Disk(kept);
      disk->before = [k](const std::string&, int number) {
        return number == k ? absl::ResourceExhaustedError("cannot write: No space left on device") : absl::OkStatus();
      };
      NetworkFiles files(disk->Open());
      if (kept) Load(files);
      EXPECT_EQ(WriteNew(files).message(), "cannot write: No space left on device");
      EXPECT_NE(files.StepOf(kNetwork), 2u) << "it is not sure to be there";
      // Nothing but the network's file is left.
      for (const std::string& name : disk->Names()) EXPECT_EQ(name, kFile);
      const int step = OnlyStep(*disk);
      EXPECT_TRUE(step == 2 || step == (kept ? 1 : -1)) << step;
      EXPECT_TRUE(WriteNew(files).ok());
      EXPECT_EQ(files.StepOf(kNetwork), 2u);
      disk->Restart(Crash::kKeepsWhatWasSynced);
      EXPECT_EQ(OnlyStep(*disk), 2);
    }
  }
}

TEST(NetworkFiles, ADiskThatStaysFullLeavesTheOldNetwork) {
  const auto disk = Disk(/*kept=*/true);
  disk->before = [](const std::string& operation, int) {
    return operation == "write" ? absl::ResourceExhaustedError("full") : absl::OkStatus();
  };
  NetworkFiles files(disk->Open());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(WriteNew(files).message(), "full");
  EXPECT_EQ(OnlyStep(*disk), 1);
}

TEST(NetworkFiles, ADiskThatTakesNoByteIsAnErrorAndNotWaitedFor) {
  const auto disk = Disk(/*kept=*/true);
  disk->max_write = 0;
  NetworkFiles files(disk->Open());
  EXPECT_FALSE(WriteNew(files).ok());
  EXPECT_EQ(OnlyStep(*disk), 1);
}

TEST(NetworkFiles, ARemovalThatFailedIsTriedAgain) {
  const auto disk = Disk(/*kept=*/true);
  NetworkFiles files(disk->Open());
  Load(files);
  disk->before = [](const std::string&, int number) {
    return number < 2 ? absl::UnavailableError("cannot remove a file") : absl::OkStatus();
  };
  EXPECT_FALSE(Remove(files).ok());
  EXPECT_FALSE(Remove(files).ok());
  EXPECT_THAT(files.Networks(), ElementsAre(kNetwork));
  EXPECT_TRUE(Remove(files).ok());
  EXPECT_THAT(files.Networks(), IsEmpty());
  EXPECT_TRUE(Remove(files).ok()) << "there is nothing to remove";
  EXPECT_THAT(disk->Names(), IsEmpty());
}

// Each single byte, and each length.
TEST(NetworkFiles, ADamagedFileIsSetAsideAndTheOthersAreLoaded) {
  const std::string other(32, 'a'), file = *EncodeStateFile(OneStoredNeuron(1));
  const auto expect_set_aside = [&](const std::string& damaged) {
    const auto disk = std::make_shared<FakeDisk>();
    ASSERT_TRUE(NetworkFiles(disk->Open()).Write(OneStoredNeuron(5, other)).ok());
    disk->Put(kFile, damaged);
    const Loaded loaded = Load(*disk);
    ASSERT_EQ(loaded.networks.size(), 1u);
    EXPECT_EQ(loaded.networks[0].network(), other);
    EXPECT_THAT(loaded.said,
                ElementsAre(StartsWith(absl::StrCat("network not loaded; its file is corrupt, and renamed file=", kFile,
                                                    " renamed=", kFile, ".corrupt reason="))));
    EXPECT_THAT(disk->Names(), ElementsAre(kFile + ".corrupt", other + ".network"));
    EXPECT_EQ(disk->Bytes(kFile + ".corrupt"), damaged);
    EXPECT_THAT(Load(*disk).said, IsEmpty()) << "it is told once";
  };
  for (size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    expect_set_aside(damaged);
    expect_set_aside(file.substr(0, i));
  }
}

TEST(NetworkFiles, AFileThatIsNotNamedAsItsNetworkIsSetAside) {
  const auto disk = std::make_shared<FakeDisk>();
  for (const std::string& name : {std::string(32, 'b'), std::string("x"), std::string()}) {
    disk->Put(name + ".network", *EncodeStateFile(OneStoredNeuron(1)));
  }
  for (const std::string& name : {std::string("../../escape"), std::string("x"), std::string()}) {
    disk->Put(name + ".network", *EncodeStateFile(OneStoredNeuron(1, name)));
  }
  const size_t files = disk->Names().size();
  const Loaded loaded = Load(*disk);
  EXPECT_TRUE(loaded.networks.empty());
  EXPECT_EQ(loaded.said.size(), files);
}

TEST(NetworkFiles, NoNameLeadsOutOfTheDirectory) {
  const auto disk = std::make_shared<FakeDisk>();
  NetworkFiles files(disk->Open());
  for (const std::string& name : {std::string("../../escape"), std::string("/etc/passwd"), std::string(),
                                  std::string(32, '/'), std::string(32, 'A'), kNetwork + "/"}) {
    EXPECT_FALSE(files.Write(OneStoredNeuron(1, name)).ok()) << name;
    EXPECT_FALSE(files.Remove(name).ok()) << name;
  }
  EXPECT_THAT(disk->operations, IsEmpty());
}

TEST(NetworkFiles, AFileOfAnotherVersionIsLeftForAServerThatKnowsIt) {
  v1::StoredNetwork newer = OneStoredNeuron(1);
  newer.mutable_checkpoint()->set_format_version(9);
  const auto disk = std::make_shared<FakeDisk>();
  disk->Put(kFile, *EncodeStateFile(newer));
  NetworkFiles files(disk->Open());
  const Loaded loaded = Load(files);
  EXPECT_TRUE(loaded.networks.empty());
  EXPECT_THAT(loaded.said, ElementsAre(AllOf(StartsWith("network not loaded; its file is left as it is file=" + kFile),
                                             HasSubstr("another version"))));
  EXPECT_THAT(disk->Names(), ElementsAre(kFile));
  EXPECT_THAT(files.Networks(), IsEmpty()) << "it is not ours to remove";
}

TEST(NetworkFiles, ANetworkOverALimitIsLeftAndOneThatIsWrongIsSetAside) {
  const auto disk = Disk(/*kept=*/true);
  NetworkFiles files(disk->Open());
  const Loaded over = Load(files, absl::ResourceExhaustedError("at most 3 (the server's --max-networks)"));
  EXPECT_THAT(over.said, ElementsAre("network not loaded; its file is left as it is file=" + kFile +
                                     " reason=at most 3 (the server's --max-networks)"));
  EXPECT_THAT(disk->Names(), ElementsAre(kFile));
  EXPECT_THAT(files.Networks(), IsEmpty());
  const Loaded wrong = Load(files, absl::InvalidArgumentError("layers: none"));
  EXPECT_THAT(wrong.said, ElementsAre(AllOf(HasSubstr("is corrupt, and renamed"), HasSubstr("reason=layers: none"))));
  EXPECT_THAT(disk->Names(), ElementsAre(kFile + ".corrupt"));
}

// It would be in memory before its network is found to be over a limit.
TEST(NetworkFiles, AFileOfMoreBytesThanThereIsRoomForIsLeftUnread) {
  const std::string other(32, 'a'), damaged(4000, 'x');
  const auto disk = Disk(/*kept=*/true);
  disk->Put(other + ".network", damaged);
  NetworkFiles files(disk->Open());
  const int64_t bytes = static_cast<int64_t>(disk->Bytes(kFile).size());
  std::vector<std::string> said;
  const auto load = [&](int64_t room) {
    said.clear();
    const auto taken = files.Load([](const v1::StoredNetwork&) { return absl::OkStatus(); },
                                  [&](const server::Event& event) { said.push_back(testing::Text(event)); },
                                  [] { return false; }, [&] { return room; });
    EXPECT_TRUE(taken.ok()) << taken.status();
    return taken.value_or(-1);
  };
  const auto left = [](const std::string& file) {
    return AllOf(StartsWith("network not loaded; its file is left as it is file=" + file),
                 HasSubstr("--max-network-bytes"));
  };
  EXPECT_EQ(load(bytes - 1), 0);
  EXPECT_THAT(said, ElementsAre(left(kFile), left(other + ".network")));
  EXPECT_THAT(files.Networks(), IsEmpty()) << "they are not ours to remove";
  EXPECT_EQ(load(bytes), 1);
  EXPECT_THAT(said, ElementsAre(left(other + ".network")));
  EXPECT_EQ(load(4000), 1);
  EXPECT_THAT(said, ElementsAre(HasSubstr("is corrupt")));
}

TEST(NetworkFiles, LoadingStopsBetweenTwoFiles) {
  const auto disk = Disk(/*kept=*/true);
  const std::string second = std::string("z") + kFile;
  disk->Put(second, "not a network");
  NetworkFiles files(disk->Open());
  int taken = 0;
  const auto take = [&](const v1::StoredNetwork&) {
    ++taken;
    return absl::OkStatus();
  };
  const auto loaded = files.Load(
      take, [](const server::Event&) {}, [&] { return taken == 1; });
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(taken, 1);
  EXPECT_THAT(disk->Names(), ElementsAre(kFile, second)) << "the second was looked at";
}

TEST(NetworkFiles, ACorruptFileThatCannotBeRenamedStaysAndIsTold) {
  const auto disk = std::make_shared<FakeDisk>();
  disk->Put(kFile, "");
  disk->before = [](const std::string&, int) { return absl::PermissionDeniedError("read-only"); };
  EXPECT_THAT(Load(*disk).said,
              ElementsAre(AllOf(HasSubstr("is corrupt, and cannot be renamed"), HasSubstr("not_renamed=read-only"))));
  EXPECT_THAT(disk->Names(), ElementsAre(kFile));
}

TEST(NetworkFiles, OtherFilesAreLeftAloneAndUnfinishedOnesRemoved) {
  const auto disk = Disk(/*kept=*/true);
  disk->Put("lock", "");
  disk->Put("notes.txt", "mine");
  disk->Put(kFile + ".corrupt", "of before");
  disk->Put(kFile + ".tmp", "half");
  EXPECT_EQ(OnlyStep(*disk), 1);
  EXPECT_THAT(disk->Names(), ElementsAre(kFile, kFile + ".corrupt", "lock", "notes.txt"));
}

}  // namespace
}  // namespace spikeserve::state

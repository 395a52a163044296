#include "shared_memory/region_store.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "support/shared_memory.h"

namespace spikeserve::shared_memory {
namespace {

using ::testing::HasSubstr;
using testing::MakeMemory;
using testing::Mapping;

constexpr uid_t kUser = 1000;
constexpr int64_t kPage = 4096;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(CheckMemory, AcceptsASealedMemfdAndTellsItsSize) {
  EXPECT_EQ(*CheckMemory(MakeMemory(1)), 1);
  EXPECT_EQ(*CheckMemory(MakeMemory(3 * kPage + 5)), 3 * kPage + 5);
  EXPECT_EQ(*CheckMemory(MakeMemory(kPage, testing::kNeededSeals | F_SEAL_SEAL)), kPage);
}

TEST(CheckMemory, RefusesMemoryThatCouldChangeItsLength) {
  const auto refusal = [](int seals) { return CheckMemory(MakeMemory(kPage, seals)).status(); };
  EXPECT_THAT(Message(refusal(0)), HasSubstr("memory without F_SEAL_SHRINK and F_SEAL_GROW; need"));
  EXPECT_THAT(Message(refusal(F_SEAL_GROW)), HasSubstr("memory without F_SEAL_SHRINK; need"));
  EXPECT_THAT(Message(refusal(F_SEAL_SHRINK)), HasSubstr("memory without F_SEAL_GROW; need"));
  EXPECT_EQ(refusal(0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(refusal(0)), "share");
}

TEST(CheckMemory, RefusesMemoryOfNoBytes) {
  EXPECT_THAT(Message(CheckMemory(MakeMemory(0)).status()), HasSubstr("0 bytes"));
}

TEST(CheckMemory, RefusesWhatIsNoMemfd) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  std::vector<FileDescriptor> others;
  others.emplace_back(pipe_ends[0]);
  others.emplace_back(pipe_ends[1]);
  others.emplace_back(open("/dev/null", O_RDWR));
  others.emplace_back(open("/proc/self/exe", O_RDONLY));
  others.emplace_back(open("/tmp", O_RDONLY | O_DIRECTORY));
  others.emplace_back(socket(AF_INET, SOCK_STREAM, 0));
  others.emplace_back(open("/dev/shm", O_TMPFILE | O_RDWR, 0600));  // A tmpfs, but without seals.
  for (const FileDescriptor& other : others) {
    if (!other) continue;  // There may be no /dev/shm.
    EXPECT_EQ(CheckMemory(other).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(CheckMemory, RefusesHugePages) {
  const FileDescriptor memory = MakeMemory(int64_t{2} << 20, testing::kNeededSeals, MFD_HUGETLB);
  if (!memory) GTEST_SKIP() << "the system has no huge pages";
  EXPECT_THAT(Message(CheckMemory(memory).status()), HasSubstr("huge pages"));
}

TEST(Memory, ThatWasSealedCannotBeShrunkOrGrown) {
  const FileDescriptor memory = MakeMemory(kPage);
  EXPECT_NE(ftruncate(memory.get(), 0), 0);
  EXPECT_NE(ftruncate(memory.get(), kPage - 1), 0);
  EXPECT_NE(ftruncate(memory.get(), kPage + 1), 0);
}

TEST(RegionStore, ShowsWhatTheClientWrites) {
  RegionStore store({});
  RegionStore::Session session(store, kUser);
  const FileDescriptor memory = MakeMemory(10);
  const Mapping client(memory, 10);
  std::strcpy(client.as<char>(), "before");
  const absl::StatusOr<std::string> handle = session.Add(memory);
  ASSERT_TRUE(handle.ok()) << handle.status();
  const std::shared_ptr<const Region> region = store.Find(*handle);
  ASSERT_NE(region, nullptr);
  EXPECT_EQ(region->size(), 10u);
  EXPECT_STREQ(reinterpret_cast<const char*>(region->data()), "before");
  std::strcpy(client.as<char>(), "after");
  EXPECT_STREQ(reinterpret_cast<const char*>(region->data()), "after");
}

TEST(RegionStore, MemoryWithHolesReadsAsZeros) {
  RegionStore store({});
  RegionStore::Session session(store, kUser);
  const FileDescriptor memory = MakeMemory(64 * kPage);
  const Mapping client(memory, 64 * kPage);
  client.as<char>()[5 * kPage] = 'x';
  const std::shared_ptr<const Region> region = store.Find(*session.Add(memory));
  EXPECT_EQ(region->data()[5 * kPage], 'x');
  // Pages can be taken away from under the mapping; what is read then is zeros, not a signal.
  ASSERT_EQ(fallocate(memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 64 * kPage), 0);
  EXPECT_EQ(region->data()[5 * kPage], 0);
}

TEST(RegionStore, HandlesAreRandomAndOnlyTheWholeHandleFinds) {
  RegionStore store({});
  RegionStore::Session session(store, kUser);
  const std::string a = *session.Add(MakeMemory(1));
  const std::string b = *session.Add(MakeMemory(1));
  EXPECT_EQ(a.size(), 16u);
  EXPECT_NE(a, b);
  EXPECT_NE(store.Find(a), store.Find(b));
  for (const std::string& guess :
       {std::string(), std::string(16, '\0'), a.substr(0, 15), a + "x", b.substr(0, 8) + a.substr(8)}) {
    EXPECT_EQ(store.Find(guess), nullptr);
  }
}

TEST(RegionStore, OnlyTheSessionThatBroughtMemoryDropsIt) {
  RegionStore store({});
  RegionStore::Session owner(store, kUser);
  RegionStore::Session other(store, kUser);
  const std::string handle = *owner.Add(MakeMemory(1));
  other.Drop(handle);
  other.Drop("");
  EXPECT_NE(store.Find(handle), nullptr);
  owner.Drop(handle);
  EXPECT_EQ(store.Find(handle), nullptr);
  owner.Drop(handle);
}

TEST(RegionStore, MemoryGoesWithItsSession) {
  const int mappings = testing::MemoryMappings();
  RegionStore store({});
  std::string handle;
  {
    RegionStore::Session session(store, kUser);
    handle = *session.Add(MakeMemory(kPage));
    ASSERT_TRUE(session.Add(MakeMemory(kPage)).ok());
    EXPECT_EQ(testing::MemoryMappings(), mappings + 2);
  }
  EXPECT_EQ(store.Find(handle), nullptr);
  EXPECT_EQ(store.UsageOf(kUser).regions, 0);
  EXPECT_EQ(testing::MemoryMappings(), mappings);
}

TEST(RegionStore, BytesAreLimitedForEachUser) {
  RegionStore store({.max_bytes = 3 * kPage, .max_regions = 100});
  RegionStore::Session first(store, kUser), second(store, kUser), other(store, kUser + 1);
  ASSERT_TRUE(first.Add(MakeMemory(2 * kPage)).ok());
  const absl::Status refused = second.Add(MakeMemory(kPage + 1)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(refused), HasSubstr("4097 bytes on top of 8192; need at most 12288"));
  EXPECT_THAT(Message(refused), HasSubstr("--max-shared-memory-bytes"));
  EXPECT_TRUE(second.Add(MakeMemory(kPage)).ok());
  EXPECT_TRUE(other.Add(MakeMemory(3 * kPage)).ok());
  EXPECT_EQ(store.UsageOf(kUser).bytes, 3 * kPage);
  // Sizes that nothing has do not overflow on the way.
  EXPECT_EQ(first.Add(MakeMemory(INT64_MAX)).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(RegionStore, RegionsAreLimitedForEachUser) {
  RegionStore store({.max_bytes = 1000, .max_regions = 2});
  RegionStore::Session session(store, kUser);
  const std::string handle = *session.Add(MakeMemory(1));
  ASSERT_TRUE(session.Add(MakeMemory(1)).ok());
  EXPECT_THAT(Message(session.Add(MakeMemory(1)).status()), HasSubstr("at most 2 of one user"));
  session.Drop(handle);
  EXPECT_TRUE(session.Add(MakeMemory(1)).ok());
}

TEST(RegionStore, MemoryThatIsStillReadCountsAfterItWasDropped) {
  auto store = std::make_unique<RegionStore>(Quota{.max_bytes = kPage, .max_regions = 1});
  auto session = std::make_unique<RegionStore::Session>(*store, kUser);
  const std::string handle = *session->Add(MakeMemory(kPage));
  std::shared_ptr<const Region> read = store->Find(handle);
  session->Drop(handle);
  EXPECT_EQ(session->Add(MakeMemory(1)).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(read->data()[0], 0);
  read.reset();
  EXPECT_EQ(store->UsageOf(kUser).bytes, 0);
  // It may also outlive the store.
  read = store->Find(*session->Add(MakeMemory(kPage)));
  session.reset();
  store.reset();
  EXPECT_EQ(read->data()[kPage - 1], 0);
}

TEST(RegionStore, WhatIsRefusedLeavesNothingBehind) {
  RegionStore store({.max_bytes = kPage, .max_regions = 10});
  RegionStore::Session session(store, kUser);
  const int descriptors = testing::OpenDescriptors();
  const int mappings = testing::MemoryMappings();
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(session.Add(MakeMemory(kPage, 0)).ok());
    EXPECT_FALSE(session.Add(MakeMemory(kPage + 1)).ok());
    EXPECT_FALSE(session.Add(MakeMemory(0)).ok());
  }
  EXPECT_EQ(store.UsageOf(kUser).bytes, 0);
  EXPECT_EQ(testing::OpenDescriptors(), descriptors);
  EXPECT_EQ(testing::MemoryMappings(), mappings);
}

}  // namespace
}  // namespace spikeserve::shared_memory

#include "shared_memory/arena.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "memory/buffer_pool.h"
#include "shared_memory/region.h"
#include "support/shared_memory.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kMiB = 1 << 20;

class ArenaTest : public ::testing::Test {
 protected:
  std::shared_ptr<Arena> MakeArena(int64_t max_bytes = 10 * kMiB) {
    return Arena::Create(max_bytes, [this](uint64_t region) { gone_.push_back(region); });
  }

  std::vector<uint64_t> gone_;
};

TEST_F(ArenaTest, BuffersAreMemoryThatAServerTakes) {
  const auto arena = MakeArena();
  const auto buffer = arena->Take(kMiB + 1);
  std::memset(buffer.get(), 'x', kMiB + 1);
  const auto place = arena->Find(buffer.get(), kMiB + 1);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->offset, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.get()) % 4096, 0u);
  const shared_memory::FileDescriptor memory(fcntl(place->region->descriptor(), F_DUPFD_CLOEXEC, 0));
  EXPECT_EQ(*shared_memory::CheckMemory(memory), static_cast<int64_t>(place->region->size()));
  EXPECT_GE(place->region->size(), static_cast<size_t>(kMiB + 1));
  const testing::Mapping mapping(memory, kMiB + 1);
  EXPECT_EQ(mapping.as<char>()[kMiB], 'x');
}

TEST_F(ArenaTest, FindTellsWhereMemoryLies) {
  const auto arena = MakeArena();
  const auto a = arena->Take(100000);
  const auto b = arena->Take(200000);
  const size_t a_size = arena->Find(a.get(), 1)->region->size();
  EXPECT_EQ(arena->Find(a.get() + 7, 100)->offset, 7u);
  EXPECT_NE(arena->Find(a.get(), 1)->region, arena->Find(b.get(), 1)->region);
  EXPECT_EQ(arena->Find(b.get() + 199999, 1)->region, arena->Find(b.get(), 1)->region);
  // Not wholly within one.
  EXPECT_FALSE(arena->Find(a.get(), a_size + 1).has_value());
  EXPECT_FALSE(arena->Find(a.get() + a_size - 1, 2).has_value());
  EXPECT_FALSE(arena->Find(a.get() + 1, SIZE_MAX).has_value());
  EXPECT_FALSE(arena->Find(a.get() - 1, 2).has_value() && arena->Find(a.get() - 1, 2)->region->size() == a_size);
  // Somewhere else.
  const int elsewhere = 0;
  EXPECT_FALSE(arena->Find(&elsewhere, sizeof(elsewhere)).has_value());
  EXPECT_FALSE(arena->Find(nullptr, 1).has_value());
  EXPECT_FALSE(MakeArena()->Find(a.get(), 1).has_value());
}

TEST_F(ArenaTest, ABufferThatComesBackIsUsedAgain) {
  const auto arena = MakeArena();
  const uint8_t* const place = arena->Take(kMiB).get();
  EXPECT_EQ(arena->Take(kMiB - 1).get(), place);
  const auto held = arena->Take(kMiB);
  EXPECT_EQ(held.get(), place);
  EXPECT_NE(arena->Take(kMiB).get(), place);
  EXPECT_THAT(gone_, IsEmpty());
}

TEST_F(ArenaTest, TheBoundHoldsForAllBuffersTogether) {
  const auto arena = MakeArena(3 * kMiB);
  auto a = arena->Take(kMiB);
  auto b = arena->Take(2 * kMiB);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(arena->Take(1), nullptr);
  EXPECT_EQ(arena->Take(4 * kMiB), nullptr);
  EXPECT_EQ(arena->bytes(), 3 * kMiB);
  // What is kept makes room for others, the one that was not used for the longest first.
  const uint64_t a_id = arena->Find(a.get(), 1)->region->id();
  const uint64_t b_id = arena->Find(b.get(), 1)->region->id();
  a.reset();
  b.reset();
  EXPECT_THAT(gone_, IsEmpty());
  const auto c = arena->Take(kMiB / 2);
  EXPECT_THAT(gone_, ElementsAre(a_id));
  const auto d = arena->Take(2 * kMiB + kMiB / 4);
  EXPECT_THAT(gone_, ElementsAre(a_id, b_id));
  EXPECT_NE(d, nullptr);
}

TEST_F(ArenaTest, ABufferThatIsTooLargeTakesNothingFromOthers) {
  const auto arena = MakeArena(3 * kMiB);
  arena->Take(kMiB);
  EXPECT_EQ(arena->Take(4 * kMiB), nullptr);
  EXPECT_EQ(arena->bytes(), kMiB);
}

TEST_F(ArenaTest, WhatIsGivenUpIsNotUsedAgain) {
  const auto arena = MakeArena();
  auto buffer = arena->Take(kMiB);
  const auto other = arena->Take(kMiB);
  const auto place = arena->Find(buffer.get(), 1);
  arena->GiveUp(buffer.get());
  EXPECT_THAT(gone_, IsEmpty());
  buffer.reset();
  EXPECT_THAT(gone_, ElementsAre(place->region->id()));
  EXPECT_EQ(arena->bytes(), kMiB);
  // Who still has the region can read it.
  EXPECT_EQ(place->region->data()[0], 0);
}

TEST_F(ArenaTest, TrimGivesUpWhatNobodyUses) {
  const auto arena = MakeArena();
  const auto held = arena->Take(kMiB);
  EXPECT_FALSE(arena->Trim());
  arena->Take(kMiB);
  EXPECT_TRUE(arena->Trim());
  EXPECT_EQ(gone_.size(), 1u);
  EXPECT_EQ(arena->bytes(), kMiB);
}

TEST_F(ArenaTest, ABufferMayOutliveTheArenasOwner) {
  const int descriptors = testing::OpenDescriptors();
  auto arena = MakeArena();
  arena->Take(2 * kMiB);
  auto buffer = arena->Take(kMiB);
  arena->Close();
  EXPECT_EQ(gone_.size(), 1u);
  arena.reset();
  buffer.get()[kMiB - 1] = 'x';
  buffer.reset();
  EXPECT_EQ(gone_.size(), 2u);
  EXPECT_EQ(testing::OpenDescriptors(), descriptors);
}

TEST(Arena, ManyThreadsMayUseItAtOnce) {
  const auto arena = Arena::Create(8 * kMiB, [](uint64_t) {});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&arena, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 100; ++i) {
        const size_t size = 1 + random() % (2 * kMiB);
        const auto buffer = arena->Take(size);
        if (buffer == nullptr) continue;
        buffer.get()[0] = buffer.get()[size - 1] = static_cast<uint8_t>(t);
        const auto place = arena->Find(buffer.get(), size);
        ASSERT_TRUE(place.has_value());
        EXPECT_EQ(place->region->data(), buffer.get());
        if (random() % 4 == 0) arena->GiveUp(buffer.get());
        if (random() % 8 == 0) arena->Trim();
        EXPECT_EQ(buffer.get()[size - 1], t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(arena->bytes(), 8 * kMiB);
  arena->Trim();
  EXPECT_EQ(arena->bytes(), 0);
}

}  // namespace
}  // namespace spikeserve

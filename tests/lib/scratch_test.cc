#include "scratch.h"

#include <cstddef>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace spikeserve {
namespace {

TEST(Scratch, ABlockThatWasGivenBackIsTakenAgainForOneOfMuchTheSameSize) {
  constexpr size_t kElements = 100'000;
  const float* first = nullptr;
  {
    ScratchFloats floats(kElements);
    first = floats.data();
  }
  const ScratchFloats again(kElements - 7);
  EXPECT_EQ(again.data(), first);
}

TEST(Scratch, BlocksInUseAreApart) {
  std::vector<ScratchFloats> all;
  for (size_t i = 0; i < 20; ++i) {
    all.emplace_back(20'000 + 1000 * i);
    std::iota(all.back().begin(), all.back().end(), static_cast<float>(i));
  }
  std::set<const float*> blocks;
  for (size_t i = 0; i < all.size(); ++i) {
    blocks.insert(all[i].data());
    for (size_t k = 0; k < all[i].size(); ++k) ASSERT_EQ(all[i][k], static_cast<float>(i) + static_cast<float>(k));
  }
  EXPECT_EQ(blocks.size(), all.size());
}

TEST(Scratch, NoMoreIsKeptThanTheBound) {
  std::vector<ScratchFloats> all;
  for (size_t bytes = 0; bytes < 2 * kMaxIdleScratchBytes; bytes += size_t{8} << 20) all.emplace_back(size_t{2} << 20);
  EXPECT_LE(IdleScratchBytes(), kMaxIdleScratchBytes);
  all.clear();
  EXPECT_EQ(IdleScratchBytes(), kMaxIdleScratchBytes);
}

TEST(Scratch, ManyThreadsTakeAndGiveAtTheSameTime) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) {
        ScratchFloats floats(static_cast<size_t>(16'384 + 512 * (i % 7)), static_cast<float>(t));
        for (const float f : floats) ASSERT_EQ(f, static_cast<float>(t));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace spikeserve

#include "memory/buffer_pool.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace spikeserve {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(BufferPool, BuffersAreAlignedAndLargeEnough) {
  BufferPool pool(64 * kMiB);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{4096}, 64 * kMiB / 1024 + 1, kMiB + 1, 5 * kMiB}) {
    const std::shared_ptr<uint8_t> buffer = pool.Take(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.get()) % 64, 0u) << size;
    std::memset(buffer.get(), 1, size);  // ASan knows the bounds.
  }
}

TEST(BufferPool, ABufferThatCameBackIsUsedAgain) {
  BufferPool pool(64 * kMiB);
  const uint8_t* first = pool.Take(3 * kMiB).get();
  const std::shared_ptr<uint8_t> again = pool.Take(3 * kMiB - 100);
  EXPECT_EQ(again.get(), first);
  const BufferPool::Statistics statistics = pool.statistics();
  EXPECT_EQ(statistics.buffers, 2);
  EXPECT_EQ(statistics.reused_buffers, 1);
  EXPECT_EQ(statistics.idle_bytes, 0);
  EXPECT_GE(statistics.bytes_in_use, static_cast<int64_t>(3 * kMiB));
}

TEST(BufferPool, KeepsNoMoreIdleBytesThanItsBound) {
  BufferPool pool(4 * kMiB);
  std::vector<std::shared_ptr<uint8_t>> buffers;
  for (int i = 0; i < 10; ++i) buffers.push_back(pool.Take(kMiB));
  EXPECT_EQ(pool.statistics().idle_bytes, 0);
  buffers.clear();
  EXPECT_EQ(pool.statistics().idle_bytes, static_cast<int64_t>(4 * kMiB));
  EXPECT_EQ(pool.statistics().bytes_in_use, 0);
  pool.Take(8 * kMiB);  // Larger than the bound: not kept, and neither are the others.
  EXPECT_LE(pool.statistics().idle_bytes, static_cast<int64_t>(4 * kMiB));
}

TEST(BufferPool, WhatIsSetAsideIsNotInUseUntilItIsNoLonger) {
  BufferPool pool(0);
  std::shared_ptr<const void> aside;
  {
    const std::shared_ptr<uint8_t> buffer = pool.Take(kMiB);
    aside = pool.SetAside(buffer);
    EXPECT_EQ(aside.get(), buffer.get());
    EXPECT_EQ(pool.statistics().bytes_in_use, 0);
    aside.reset();
    EXPECT_EQ(pool.statistics().bytes_in_use, static_cast<int64_t>(kMiB));
    aside = pool.SetAside(buffer);
  }
  EXPECT_EQ(pool.statistics().bytes_in_use, 0);
  aside.reset();
  EXPECT_EQ(pool.statistics().bytes_in_use, 0);
  BufferPool other(0);
  for (const size_t size : {size_t{10}, kMiB}) {
    const std::shared_ptr<uint8_t> of_other = other.Take(size);
    aside = pool.SetAside(of_other);
    EXPECT_EQ(pool.statistics().bytes_in_use, 0) << "they are not its own";
  }
}

TEST(BufferPool, ABoundOfZeroKeepsNothing) {
  BufferPool pool(0);
  pool.Take(kMiB);
  EXPECT_EQ(pool.statistics().idle_bytes, 0);
}

TEST(BufferPool, ABufferMayOutliveThePool) {
  std::shared_ptr<uint8_t> buffer;
  {
    BufferPool pool(64 * kMiB);
    buffer = pool.Take(kMiB);
    pool.Take(2 * kMiB);
  }
  std::memset(buffer.get(), 7, kMiB);
}

TEST(BufferPool, SeveralThreadsNeverShareABuffer) {
  BufferPool pool(8 * kMiB);
  std::vector<std::thread> threads;
  for (int id = 1; id <= 4; ++id) {
    threads.emplace_back([&pool, id] {
      for (int i = 0; i < 300; ++i) {
        const size_t size = 65536 + static_cast<size_t>(i % 7) * 20000;
        const std::shared_ptr<uint8_t> buffer = pool.Take(size);
        std::memset(buffer.get(), id, size);
        for (size_t b = 0; b < size; b += 997) ASSERT_EQ(buffer.get()[b], id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.statistics().bytes_in_use, 0);
}

}  // namespace
}  // namespace spikeserve

#include "runtime/compute_pool.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <latch>
#include <new>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace {

thread_local bool no_memory = false;

}  // namespace

// In place of the system's library's, which it calls.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  if (no_memory) return nullptr;
  try {
    return ::operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

namespace spikeserve::server {
namespace {

// Runs `fn` as a task and waits for it.
void RunTask(ComputePool& pool, std::function<void()> fn) {
  std::latch ended(1);
  pool.Submit([&] {
    fn();
    ended.count_down();
  });
  ended.wait();
}

TEST(ComputePool, ALoopTakesEachIndexOnceInPartsOfTheGrain) {
  for (const int threads : {1, 2, 5}) {
    ComputePool pool(threads);
    for (const int64_t count : {0, 1, 7, 100, 1001}) {
      for (const int64_t grain : {1, 3, 2000}) {
        std::vector<std::atomic<int>> taken(static_cast<size_t>(count));
        RunTask(pool, [&] {
          pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
            EXPECT_TRUE(end - begin == grain || end == count);
            for (int64_t i = begin; i < end; ++i) ++taken[i];
          });
        });
        for (const auto& times : taken) EXPECT_EQ(times, 1);
      }
    }
  }
}

TEST(ComputePool, IdleThreadsHelp) {
  ComputePool pool(2);
  // Each part waits for the other: one thread alone would never end.
  std::latch both(2);
  RunTask(pool, [&] { pool.ParallelFor(2, 1, [&](int64_t, int64_t) { both.arrive_and_wait(); }); });
}

TEST(ComputePool, ATaskThatWaitsBeginsBeforeALongLoopEnds) {
  ComputePool pool(2);
  std::atomic<bool> begun = false;
  std::atomic<int64_t> parts = 0;
  RunTask(pool, [&] {
    pool.ParallelFor(1 << 20, 1, [&](int64_t begin, int64_t) {
      if (begin == 10) pool.Submit([&] { begun = true; });
      ++parts;
      // The loop's own thread holds up its end until the other task began: a helper has to leave for it.
      if (begin == (1 << 20) - 1) {
        while (!begun) std::this_thread::yield();
      }
      if (begin > 10 && !begun) std::this_thread::yield();
    });
  });
  EXPECT_TRUE(begun);
  EXPECT_EQ(parts, 1 << 20);
}

TEST(ComputePool, LoopsWithinLoopsEnd) {
  ComputePool pool(3);
  std::atomic<int> sum = 0;
  RunTask(pool, [&] {
    pool.ParallelFor(20, 1, [&](int64_t, int64_t) {
      pool.ParallelFor(20, 1, [&](int64_t begin, int64_t end) { sum += static_cast<int>(end - begin); });
    });
  });
  EXPECT_EQ(sum, 400);
}

TEST(ComputePool, WhatAPartThrowsIsThrownByTheLoopInWhicheverThreadItWas) {
  ComputePool pool(2);
  std::atomic<int> caught = 0;
  RunTask(pool, [&] {
    for (int i = 0; i < 50; ++i) {
      try {
        pool.ParallelFor(100, 1, [&](int64_t begin, int64_t) {
          if (begin == i) throw std::bad_alloc();
        });
      } catch (const std::bad_alloc&) {
        ++caught;
      }
    }
  });
  EXPECT_EQ(caught, 50);
}

// Each loop would leave as many tasks behind as there are threads: a call of a million loops took all memory.
TEST(ComputePool, LoopsAskForNoMoreThreadsThanThereAreWhileOthersAreBusy) {
  ComputePool pool(2);
  std::latch busy(1);
  pool.Submit([&] { busy.wait(); });
  int most = 0;
  RunTask(pool, [&] {
    for (int i = 0; i < 1000; ++i) {
      pool.ParallelFor(4, 1, [](int64_t, int64_t) {});
      most = std::max(most, pool.helpers_waiting());
    }
  });
  EXPECT_GE(most, 1);
  EXPECT_LE(most, 2);
  busy.count_down();
  pool.Wait();
  EXPECT_EQ(pool.helpers_waiting(), 0);
}

TEST(ComputePool, AThreadThatAnEndedLoopAskedForHelpsTheNext) {
  ComputePool pool(2);
  std::latch busy(1);
  pool.Submit([&] { busy.wait(); });
  RunTask(pool, [&] {
    for (int i = 0; i < 10; ++i) pool.ParallelFor(4, 1, [](int64_t, int64_t) {});
    // Each part waits for the other: one thread alone would never end.
    std::latch both(2);
    pool.ParallelFor(2, 1, [&](int64_t begin, int64_t) {
      if (begin == 0) busy.count_down();
      both.arrive_and_wait();
    });
  });
}

TEST(ComputePool, ATaskThatThereIsNoMemoryForRunsAtOnceAndItsLoopsWithoutHelp) {
  ComputePool pool(2);
  int ran = 0;
  int64_t sum = 0;
  no_memory = true;
  pool.Submit([&] {
    EXPECT_TRUE(ComputePool::InTask());
    EXPECT_EQ(pool.waiting(), 0);
    ++ran;
    pool.ParallelFor(10, 1, [&](int64_t begin, int64_t) { sum += begin; });
  });
  no_memory = false;
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(sum, 45);
  EXPECT_EQ(pool.helpers_waiting(), 0);
  EXPECT_FALSE(ComputePool::InTask());
}

TEST(ComputePool, ItsEndWaitsForTasksThatTasksSubmit) {
  std::atomic<int> ended = 0;
  {
    ComputePool pool(2);
    for (int i = 0; i < 10; ++i) {
      pool.Submit([&] {
        pool.Submit([&] { ++ended; });
        ++ended;
      });
    }
  }
  EXPECT_EQ(ended, 20);
}

}  // namespace
}  // namespace spikeserve::server

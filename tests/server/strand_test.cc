#include "runtime/strand.h"

#include <atomic>
#include <latch>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/compute_pool.h"

namespace spikeserve::server {
namespace {

TEST(ComputePool, RunsAsManyTasksAtOnceAsItHasThreads) {
  ComputePool pool(3);
  std::latch all_there(3);
  // Each returns only when three tasks are here together.
  for (int i = 0; i < 3; ++i) pool.Submit([&] { all_there.arrive_and_wait(); });
  pool.Wait();
}

TEST(ComputePool, ParallelForCoversTheRangeOnceInPartsOfAtLeastTheGrain) {
  ComputePool pool(3);
  for (int64_t count : {0, 1, 9, 10, 11, 1000}) {
    std::vector<std::atomic<int>> seen(count);
    std::atomic<int> short_parts = 0;
    pool.ParallelFor(count, 10, [&](int64_t begin, int64_t end) {
      if (end - begin < 10) ++short_parts;
      for (int64_t i = begin; i < end; ++i) ++seen[i];
    });
    for (const auto& n : seen) EXPECT_EQ(n, 1);
    EXPECT_LE(short_parts, 1);
  }
}

TEST(ComputePool, KnowsWhetherAThreadIsInATask) {
  EXPECT_FALSE(ComputePool::InTask());
  ComputePool pool(1);
  pool.Submit([] { EXPECT_TRUE(ComputePool::InTask()); });
  pool.Wait();
}

TEST(Strand, RunsItsTasksInOrderAndOneAtATime) {
  ComputePool pool(4);
  auto strand = std::make_shared<Strand>(pool);
  std::vector<int> order;  // Not guarded: the strand does that.
  for (int i = 0; i < 1000; ++i) {
    strand->Post([&order, i] { order.push_back(i); });
  }
  pool.Wait();
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
  EXPECT_FALSE(strand->busy());
}

TEST(Strand, DoesNotHoldUpOthers) {
  ComputePool pool(2);
  auto slow = std::make_shared<Strand>(pool), quick = std::make_shared<Strand>(pool);
  std::latch go(1), done(1);
  for (int i = 0; i < 5; ++i) slow->Post([&] { go.wait(); });
  quick->Post([&] { done.count_down(); });
  done.wait();  // One thread is enough for the five that wait for each other.
  EXPECT_TRUE(slow->busy());
  go.count_down();
  pool.Wait();
}

TEST(Strand, LivesUntilItsTasksHaveRun) {
  ComputePool pool(1);
  std::atomic<int> ran = 0;
  {
    auto strand = std::make_shared<Strand>(pool);
    for (int i = 0; i < 3; ++i) strand->Post([&] { ++ran; });
  }
  pool.Wait();
  EXPECT_EQ(ran, 3);
}

}  // namespace
}  // namespace spikeserve::server

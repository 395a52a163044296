#include "runtime/strand.h"

#include <atomic>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/compute_pool.h"

namespace spikeserve::server {
namespace {

TEST(ComputePool, RunsAsManyTasksAtOnceAsItHasThreads) {
  ComputePool pool(3);
  absl::BlockingCounter all_there(3);
  for (int i = 0; i < 3; ++i) {
    pool.Submit([&] {
      all_there.DecrementCount();
      // Returns only when three tasks are here together.
      static absl::Mutex mutex;
      static int arrived = 0;
      absl::MutexLock lock(&mutex);
      ++arrived;
      mutex.Await(absl::Condition(
          +[](int* n) { return *n == 3; }, &arrived));
    });
  }
  all_there.Wait();
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
  absl::Notification go, done;
  for (int i = 0; i < 5; ++i) slow->Post([&] { go.WaitForNotification(); });
  quick->Post([&] { done.Notify(); });
  done.WaitForNotification();  // One thread is enough for the five that wait for each other.
  EXPECT_TRUE(slow->busy());
  go.Notify();
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

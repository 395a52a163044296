#include "load/load_generator.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace spikeserve::load {
namespace {

using Done = std::function<void(absl::Status)>;

constexpr auto kShowNothing = [](const LoadResult&) {};

// Ends calls in threads of its own, and counts them.
class Server {
 public:
  explicit Server(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Serve(); });
  }
  ~Server() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void Start(Done done) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    waiting_.push_back(std::move(done));
    most_ = std::max(most_, static_cast<int>(waiting_.size()) + serving_);
    changed_.notify_one();
  }

  int64_t calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  // The most calls that were under way at the same time.
  int most() {
    const std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  void Serve() {
    const auto has_work = [this] { return stopped_ || !waiting_.empty(); };
    while (true) {
      Done done;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, has_work);
        if (waiting_.empty()) return;
        done = std::move(waiting_.back());
        waiting_.pop_back();
        ++serving_;
      }
      std::this_thread::yield();
      {
        const std::lock_guard lock(mutex_);
        --serving_;
      }
      done(absl::OkStatus());
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Done> waiting_;
  int serving_ = 0;
  int most_ = 0;
  int64_t calls_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

TEST(LoadGenerator, AClosedLoopMakesTheCallsWithNoMoreThanSoManyAtOnce) {
  for (const int concurrency : {1, 2, 7, 32}) {
    Server server(/*threads=*/3);
    const LoadResult result = RunLoad(
        {.concurrency = concurrency, .duration = absl::Hours(1), .max_calls = 1000},
        [&](Done done) { server.Start(std::move(done)); }, kShowNothing);
    EXPECT_EQ(result.calls(), 1000);
    EXPECT_EQ(result.latency.count(), 1000);
    EXPECT_EQ(server.calls(), 1000);
    EXPECT_TRUE(result.errors.empty());
    EXPECT_LE(server.most(), concurrency);
    EXPECT_LE(result.latency.max(), result.elapsed);
  }
}

TEST(LoadGenerator, AClosedLoopEndsWithItsTime) {
  Server server(/*threads=*/1);
  const LoadResult result = RunLoad(
      {.concurrency = 4, .duration = absl::Milliseconds(20)}, [&](Done done) { server.Start(std::move(done)); },
      kShowNothing);
  EXPECT_GT(result.calls(), 0);
  EXPECT_EQ(result.calls(), server.calls());
}

TEST(LoadGenerator, CallsThatEndAtOnceDoNotNest) {
  int depth = 0, deepest = 0;
  const LoadResult result = RunLoad(
      {.duration = absl::Hours(1), .max_calls = 100'000},
      [&](const Done& done) {
        deepest = std::max(deepest, ++depth);
        done(absl::OkStatus());
        --depth;
      },
      kShowNothing);
  EXPECT_EQ(result.calls(), 100'000);
  EXPECT_EQ(deepest, 1);
}

TEST(LoadGenerator, CountsErrorsByCodeAndKeepsTheFirstMessage) {
  int calls = 0;
  const LoadResult result = RunLoad(
      {.duration = absl::Hours(1), .max_calls = 10},
      [&](const Done& done) {
        const int i = calls++;
        if (i == 3) return done(absl::UnavailableError("away"));
        if (i % 2 == 0) return done(absl::OkStatus());
        done(absl::InternalError("error " + std::to_string(i)));
      },
      kShowNothing);
  EXPECT_EQ(result.calls(), 10);
  EXPECT_EQ(result.latency.count(), 5);
  ASSERT_EQ(result.errors.size(), 2u);
  EXPECT_EQ(result.errors.at(absl::StatusCode::kUnavailable).count, 1);
  EXPECT_EQ(result.errors.at(absl::StatusCode::kUnavailable).message, "away");
  EXPECT_EQ(result.errors.at(absl::StatusCode::kInternal).count, 4);
  EXPECT_EQ(result.errors.at(absl::StatusCode::kInternal).message, "error 1");
}

TEST(LoadGenerator, AnOpenLoopBeginsTheCallsThatAreDue) {
  Server server(/*threads=*/2);
  const LoadResult result = RunLoad(
      {.concurrency = 1000, .rate = 2000, .duration = absl::Milliseconds(100)},
      [&](Done done) { server.Start(std::move(done)); }, kShowNothing);
  EXPECT_EQ(result.calls() + result.unsent, 200);
  EXPECT_EQ(result.calls(), server.calls());
}

TEST(LoadGenerator, AnOpenLoopEndsAfterSoManyCalls) {
  const LoadResult result = RunLoad(
      {.rate = 10'000, .duration = absl::Hours(1), .max_calls = 50}, [](const Done& done) { done(absl::OkStatus()); },
      kShowNothing);
  EXPECT_EQ(result.calls(), 50);
  EXPECT_EQ(result.unsent, 0);
}

TEST(LoadGenerator, AnOpenLoopCountsLatencyFromWhenACallWasDue) {
  // The first call holds up the 49 that are due in the 50 ms after its begin, for 100 ms: each ends at least 50 ms
  // after it was due, though it then takes no time.
  std::thread stalled;
  bool first = true;
  const LoadResult result = RunLoad(
      {.concurrency = 1, .rate = 1000, .duration = absl::Milliseconds(50)},
      [&](Done done) {
        if (!std::exchange(first, false)) return done(absl::OkStatus());
        stalled = std::thread([done = std::move(done)] {
          absl::SleepFor(absl::Milliseconds(100));
          done(absl::OkStatus());
        });
      },
      kShowNothing);
  stalled.join();
  EXPECT_EQ(result.calls() + result.unsent, 50);
  EXPECT_GE(result.latency.min(), absl::Milliseconds(50));
}

TEST(LoadGenerator, CallsThatWereNeverBegunAreUnsent) {
  // The only call ends when the load has long waited for it.
  Done pending;
  int shown = 0;
  const LoadResult result = RunLoad(
      {.concurrency = 1, .rate = 1000, .duration = absl::Milliseconds(10)},
      [&](Done done) { pending = std::move(done); },
      [&](const LoadResult& so_far) {
        EXPECT_EQ(so_far.calls(), 0);
        if (++shown == 3) pending(absl::OkStatus());
      });
  EXPECT_EQ(result.calls(), 1);
  EXPECT_EQ(result.unsent, 9);
}

}  // namespace
}  // namespace spikeserve::load

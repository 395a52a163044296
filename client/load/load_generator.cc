#include "load/load_generator.h"

#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace spikeserve::load {
namespace {

using Clock = std::chrono::steady_clock;

constexpr absl::Duration kShowInterval = absl::Milliseconds(200);
// How late the last calls of an open loop may begin.
constexpr absl::Duration kGrace = absl::Milliseconds(100);

// One load. Shared with the calls under way, the last of which ends it.
class Load : public std::enable_shared_from_this<Load> {
 public:
  Load(const LoadOptions& options, StartCall start)
      : options_(options),
        start_(std::move(start)),
        begin_(Clock::now()),
        end_(begin_ + absl::ToChronoNanoseconds(options.duration)) {}

  void RunClosedLoop(absl::FunctionRef<void(const LoadResult&)> show) {
    {
      const std::lock_guard lock(mutex_);
      under_way_ = options_.concurrency;
    }
    for (int i = 0; i < options_.concurrency; ++i) std::make_shared<Caller>(shared_from_this())->Begin();
    while (!WaitUntilIdle(kShowInterval)) show(SoFar());
  }

  void RunOpenLoop(absl::FunctionRef<void(const LoadResult&)> show) {
    // Sleeps end when they are meant to, not up to 50 us later.
    prctl(PR_SET_TIMERSLACK, 1);
    const double interval = 1e9 / *options_.rate;
    const double due_calls = std::ceil(absl::ToDoubleNanoseconds(options_.duration) / interval);
    const int64_t calls =
        due_calls < static_cast<double>(options_.max_calls) ? static_cast<int64_t>(due_calls) : options_.max_calls;
    for (int64_t i = 0; i < calls; ++i) {
      const auto due = begin_ + std::chrono::nanoseconds(std::llround(static_cast<double>(i) * interval));
      WaitUntil(due, show);
      if (!Enter(show)) {
        const std::lock_guard lock(mutex_);
        result_.unsent = calls - i;
        break;
      }
      start_([self = shared_from_this(), due](absl::Status status) { self->End(status, due, /*leave=*/true); });
    }
    while (!WaitUntilIdle(kShowInterval)) show(SoFar());
  }

  LoadResult SoFar() {
    const std::lock_guard lock(mutex_);
    LoadResult result = result_;
    if (under_way_ > 0) result.elapsed = absl::FromChrono(Clock::now() - begin_);
    return result;
  }

 private:
  // One of the callers of a closed loop.
  class Caller : public std::enable_shared_from_this<Caller> {
   public:
    explicit Caller(std::shared_ptr<Load> load) : load_(std::move(load)) {}

    // Begins the next call, or leaves. A call that ends before `start_` returns must not begin the next one from
    // inside: the stack would grow with each. So whoever finds another at work leaves the beginning to that one.
    void Begin() {
      if (to_begin_.fetch_add(1) > 0) return;
      do {
        if (!load_->MayBegin()) return load_->Leave();
        load_->start_([self = shared_from_this(), begin = Clock::now()](absl::Status status) {
          self->load_->End(status, begin, /*leave=*/false);
          self->Begin();
        });
      } while (to_begin_.fetch_sub(1) > 1);
    }

   private:
    const std::shared_ptr<Load> load_;
    std::atomic<int> to_begin_ = 0;
  };

  bool MayBegin() { return Clock::now() < end_ && begun_.fetch_add(1) < options_.max_calls; }

  void WaitUntil(Clock::time_point due, absl::FunctionRef<void(const LoadResult&)> show) {
    for (Clock::time_point now; (now = Clock::now()) < due;) {
      if (now >= next_show_) {
        show(SoFar());
        next_show_ = now + absl::ToChronoNanoseconds(kShowInterval);
      }
      std::this_thread::sleep_until(std::min(due, next_show_));
    }
  }

  // Waits until less than `concurrency` calls are under way, and counts one more. False where the load's time is over.
  bool Enter(absl::FunctionRef<void(const LoadResult&)> show) {
    const auto has_place = [this] { return under_way_ < options_.concurrency; };
    while (Clock::now() < end_ + absl::ToChronoNanoseconds(kGrace)) {
      {
        std::unique_lock lock(mutex_);
        if (left_.wait_for(lock, absl::ToChronoNanoseconds(kShowInterval), has_place)) {
          ++under_way_;
          return true;
        }
      }
      show(SoFar());
    }
    return false;
  }

  void Leave() {
    const std::lock_guard lock(mutex_);
    LeaveLocked();
  }

  void LeaveLocked() {
    --under_way_;
    left_.notify_one();  // Nobody waits but the thread that runs the load.
  }

  // A call that began, or was due, at `begin` has ended.
  void End(const absl::Status& status, Clock::time_point begin, bool leave) {
    const Clock::time_point now = Clock::now();
    const std::lock_guard lock(mutex_);
    if (status.ok()) {
      result_.latency.Record(absl::FromChrono(now - begin));
    } else if (LoadResult::Errors& errors = result_.errors[status.code()]; errors.count++ == 0) {
      errors.message = std::string(status.message());
    }
    result_.elapsed = std::max(result_.elapsed, absl::FromChrono(now - begin_));
    if (leave) LeaveLocked();
  }

  bool WaitUntilIdle(absl::Duration timeout) {
    std::unique_lock lock(mutex_);
    return left_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return under_way_ == 0; });
  }

  const LoadOptions options_;
  const StartCall start_;
  const Clock::time_point begin_;
  const Clock::time_point end_;
  std::atomic<int64_t> begun_ = 0;
  // Only of an open loop's own thread.
  Clock::time_point next_show_ = begin_ + absl::ToChronoNanoseconds(kShowInterval);
  std::mutex mutex_;
  std::condition_variable left_;
  // All that follows is guarded by mutex_.
  // Callers that have not left, or calls of an open loop.
  int under_way_ = 0;
  LoadResult result_;
};

}  // namespace

int64_t LoadResult::calls() const {
  int64_t calls = latency.count();
  for (const auto& [code, of_code] : errors) calls += of_code.count;
  return calls;
}

LoadResult RunLoad(const LoadOptions& options, StartCall start,
                   absl::FunctionRef<void(const LoadResult& so_far)> show) {
  const auto load = std::make_shared<Load>(options, std::move(start));
  if (options.rate) {
    load->RunOpenLoop(show);
  } else {
    load->RunClosedLoop(show);
  }
  return load->SoFar();
}

}  // namespace spikeserve::load

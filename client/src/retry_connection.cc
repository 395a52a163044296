#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/time/clock.h"
#include "connection.h"
#include "dispose.h"
#include "grpcpp/alarm.h"
#include "runtime/retry_after.h"

namespace spikeserve {
namespace {

// Half to the whole of the capped exponential backoff, so that clients that failed together do not come back together.
absl::Duration Backoff(absl::Duration first, absl::Duration longest, int retry) {
  thread_local absl::BitGen random;
  const absl::Duration whole = std::min(longest, first * std::exp2(retry - 1));
  return whole * absl::Uniform(random, 0.5, 1.0);
}

class RetryConnection final : public Connection, public std::enable_shared_from_this<RetryConnection> {
 public:
  RetryConnection(std::shared_ptr<Connection> inner, const RetryPolicy& policy, Timer timer)
      : inner_(std::move(inner)), policy_(policy), timer_(std::move(timer)) {}

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    std::make_shared<Attempts>(
        shared_from_this(), [this, rpc](Done ended) { inner_->Start(rpc, std::move(ended)); }, rpc.repeatable,
        rpc.deadline, std::move(done))
        ->Begin();
  }

  int64_t stream_above_bytes(int64_t divisor) const override { return inner_->stream_above_bytes(divisor); }
  void Stream(std::shared_ptr<StreamExchange> exchange, absl::Time deadline,
              std::function<void(absl::Status)> done) override {
    std::make_shared<Attempts>(
        shared_from_this(),
        [this, exchange, deadline](Done ended) { inner_->Stream(exchange, deadline, std::move(ended)); },
        /*repeatable=*/true, deadline, std::move(done))
        ->Begin();
  }

  // Not repeated: what was sent, nobody has any longer.
  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc& rpc) override {
    return inner_->OpenStream(rpc);
  }

  BufferPool& buffers() override { return inner_->buffers(); }

  std::shared_ptr<uint8_t> NewTensorBuffer(size_t size) override { return inner_->NewTensorBuffer(size); }

  bool shared_memory_in_use() const override { return inner_->shared_memory_in_use(); }

 private:
  using Done = std::function<void(absl::Status)>;

  // One call, made until it succeeds or may not be repeated.
  class Attempts : public std::enable_shared_from_this<Attempts> {
   public:
    Attempts(std::shared_ptr<RetryConnection> connection, std::function<void(Done)> call, bool repeatable,
             absl::Time deadline, Done done)
        : connection_(std::move(connection)),
          call_(std::move(call)),
          repeatable_(repeatable),
          deadline_(deadline),
          done_(std::move(done)) {}

    void Begin() {
      call_([self = shared_from_this()](absl::Status status) { self->End(std::move(status)); });
    }

   private:
    void End(absl::Status status) {
      if (const std::optional<absl::Duration> wait = WaitAfter(status)) {
        return connection_->timer_(*wait, [self = shared_from_this()] { self->Begin(); });
      }
      connection_.reset();  // Before the caller goes on: see Dispose.
      std::exchange(done_, nullptr)(std::move(status));
    }

    // How long to wait before the next attempt; nullopt: there is none.
    std::optional<absl::Duration> WaitAfter(const absl::Status& status) {
      if (connection_->policy_.max_attempts <= 1) return std::nullopt;
      const std::optional<absl::Duration> asked = server::RetryAfterOf(status);
      const std::optional<absl::Duration> wait = asked ? WaitAfterRefusal(*asked) : WaitAfterFailure(status);
      if (!wait || absl::Now() + *wait >= deadline_) return std::nullopt;
      return wait;
    }

    std::optional<absl::Duration> WaitAfterFailure(const absl::Status& status) {
      const RetryPolicy& policy = connection_->policy_;
      if (!repeatable_ || !absl::IsUnavailable(status) || ++failures_ >= policy.max_attempts) return std::nullopt;
      return Backoff(policy.initial_backoff, policy.max_backoff, failures_);
    }

    std::optional<absl::Duration> WaitAfterRefusal(absl::Duration asked) {
      const RetryPolicy& policy = connection_->policy_;
      // Twice as long as asked, and longer each time: whoever else was refused was told the same.
      const absl::Duration wait = std::max(asked, Backoff(2 * asked, policy.max_backoff, ++refusals_));
      refused_wait_ += wait;
      if (refused_wait_ > policy.max_refused_wait) return std::nullopt;
      return wait;
    }

    std::shared_ptr<RetryConnection> connection_;
    std::function<void(Done)> call_;
    const bool repeatable_;
    const absl::Time deadline_;
    Done done_;
    int failures_ = 0;
    int refusals_ = 0;
    absl::Duration refused_wait_;
  };

  const std::shared_ptr<Connection> inner_;
  const RetryPolicy policy_;
  const Timer timer_;
};

}  // namespace

Timer GrpcTimer() {
  return [](absl::Duration delay, std::function<void()> fn) {
    auto alarm = std::make_shared<grpc::Alarm>();
    grpc::Alarm& ref = *alarm;
    // The callback keeps the alarm until it has fired.
    ref.Set(absl::ToChronoTime(absl::Now() + delay), [alarm, fn = std::move(fn)](bool) mutable {
      const CallbackScope scope;
      std::exchange(fn, nullptr)();
      alarm.reset();
    });
  };
}

std::shared_ptr<Connection> MakeRetryConnection(std::shared_ptr<Connection> inner, const RetryPolicy& policy,
                                                Timer timer) {
  return std::make_shared<RetryConnection>(std::move(inner), policy, std::move(timer));
}

}  // namespace spikeserve

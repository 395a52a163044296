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

namespace spikeserve {
namespace {

// Half to the whole of the capped exponential backoff, so that clients that failed together do not come back together.
absl::Duration Backoff(const RetryPolicy& policy, int retry) {
  thread_local absl::BitGen random;
  const absl::Duration whole = std::min(policy.max_backoff, policy.initial_backoff * std::exp2(retry - 1));
  return whole * absl::Uniform(random, 0.5, 1.0);
}

class RetryConnection final : public Connection, public std::enable_shared_from_this<RetryConnection> {
 public:
  RetryConnection(std::shared_ptr<Connection> inner, const RetryPolicy& policy, Timer timer)
      : inner_(std::move(inner)), policy_(policy), timer_(std::move(timer)) {}

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    if (!rpc.repeatable) return inner_->Start(rpc, std::move(done));
    std::make_shared<Attempts>(
        shared_from_this(), [this, rpc](Done ended) { inner_->Start(rpc, std::move(ended)); }, rpc.deadline,
        std::move(done))
        ->Begin();
  }

  int64_t stream_above_bytes(int64_t divisor) const override { return inner_->stream_above_bytes(divisor); }
  void Stream(std::shared_ptr<StreamExchange> exchange, absl::Time deadline,
              std::function<void(absl::Status)> done) override {
    std::make_shared<Attempts>(
        shared_from_this(),
        [this, exchange, deadline](Done ended) { inner_->Stream(exchange, deadline, std::move(ended)); }, deadline,
        std::move(done))
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
    Attempts(std::shared_ptr<RetryConnection> connection, std::function<void(Done)> call, absl::Time deadline,
             Done done)
        : connection_(std::move(connection)), call_(std::move(call)), deadline_(deadline), done_(std::move(done)) {}

    void Begin() {
      ++attempt_;
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
    std::optional<absl::Duration> WaitAfter(const absl::Status& status) const {
      const RetryPolicy& policy = connection_->policy_;
      if (!absl::IsUnavailable(status) || attempt_ >= policy.max_attempts) return std::nullopt;
      const absl::Duration wait = Backoff(policy, attempt_);
      if (absl::Now() + wait >= deadline_) return std::nullopt;
      return wait;
    }

    std::shared_ptr<RetryConnection> connection_;
    std::function<void(Done)> call_;
    const absl::Time deadline_;
    Done done_;
    int attempt_ = 0;
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

#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "connection.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/retry_after.h"
#include "spikeserve/client/client.h"

namespace spikeserve {
namespace {

// Answers each attempt with the next of the given statuses.
class Scripted : public Connection {
 public:
  explicit Scripted(std::vector<absl::Status> statuses) : statuses_(std::move(statuses)) {}
  void Start(const Rpc&, std::function<void(absl::Status)> done) override { done(statuses_.at(attempts_++)); }
  int64_t stream_above_bytes(int64_t /*divisor*/) const override { return 0; }
  void Stream(std::shared_ptr<StreamExchange>, absl::Time, std::function<void(absl::Status)> done) override {
    done(statuses_.at(attempts_++));
  }
  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc&) override {
    return absl::UnimplementedError("not streamed here");
  }
  BufferPool& buffers() override { return buffers_; }
  size_t attempts() const { return attempts_; }

 private:
  BufferPool buffers_{0};
  std::vector<absl::Status> statuses_;
  size_t attempts_ = 0;
};

class RetryConnectionTest : public ::testing::Test {
 protected:
  absl::Status Run(std::vector<absl::Status> statuses, bool repeatable, absl::Time deadline = absl::InfiniteFuture()) {
    inner_ = std::make_shared<Scripted>(std::move(statuses));
    waits_.clear();
    const auto retry = MakeRetryConnection(inner_, policy_, [this](absl::Duration wait, std::function<void()> fn) {
      waits_.push_back(wait);
      fn();
    });
    absl::Status got = absl::UnknownError("not called");
    retry->Start({"/x/y", repeatable, nullptr, nullptr, deadline}, [&](absl::Status status) { got = status; });
    return got;
  }

  RetryPolicy policy_{.max_attempts = 4, .initial_backoff = absl::Seconds(1), .max_backoff = absl::Seconds(3)};
  std::shared_ptr<Scripted> inner_;
  std::vector<absl::Duration> waits_;
};

const absl::Status kUnavailable = absl::UnavailableError("draining");

TEST_F(RetryConnectionTest, RepeatsAnUnavailableCallThatIsSafeToRepeat) {
  EXPECT_TRUE(Run({kUnavailable, kUnavailable, absl::OkStatus()}, true).ok());
  EXPECT_EQ(inner_->attempts(), 3u);
}

absl::Status Refused(absl::Duration delay) {
  absl::Status status = absl::ResourceExhaustedError("busy");
  server::SetRetryAfter(status, delay);
  return status;
}

TEST_F(RetryConnectionTest, RepeatsARefusedCallWhateverItIsAndWaitsAtLeastAsLongAsAsked) {
  std::vector<absl::Status> statuses(10, Refused(absl::Milliseconds(20)));
  statuses.push_back(absl::OkStatus());
  EXPECT_TRUE(Run(statuses, /*repeatable=*/false).ok());
  ASSERT_EQ(waits_.size(), 10u);
  for (const absl::Duration wait : waits_) EXPECT_GE(wait, absl::Milliseconds(20));
  EXPECT_LE(waits_.front(), absl::Milliseconds(40));
  EXPECT_LE(waits_.back(), policy_.max_backoff);
  EXPECT_GT(waits_.back(), waits_.front());
}

TEST_F(RetryConnectionTest, ARefusedCallGivesUpWhenItHasWaitedForLong) {
  policy_.max_refused_wait = absl::Milliseconds(100);
  EXPECT_TRUE(absl::IsResourceExhausted(Run(std::vector<absl::Status>(20, Refused(absl::Milliseconds(20))), true)));
  absl::Duration sum;
  for (const absl::Duration wait : waits_) sum += wait;
  EXPECT_LE(sum, policy_.max_refused_wait);
  EXPECT_GE(waits_.size(), 1u);
}

TEST_F(RetryConnectionTest, RefusalsAreNotCountedAsFailures) {
  const absl::Status refused = Refused(absl::Milliseconds(1));
  EXPECT_TRUE(Run({refused, kUnavailable, refused, kUnavailable, refused, kUnavailable, absl::OkStatus()}, true).ok());
}

TEST_F(RetryConnectionTest, WithoutRetriesARefusedCallIsNotRepeatedEither) {
  policy_.max_attempts = 1;
  EXPECT_TRUE(absl::IsResourceExhausted(Run({Refused(absl::Milliseconds(1))}, true)));
  EXPECT_EQ(inner_->attempts(), 1u);
}

TEST_F(RetryConnectionTest, ALimitThatDoesNotGoAwayIsNotWaitedFor) {
  EXPECT_TRUE(absl::IsResourceExhausted(Run({absl::ResourceExhaustedError("too large")}, true)));
  EXPECT_EQ(inner_->attempts(), 1u);
}

TEST_F(RetryConnectionTest, DoesNotRepeatOthers) {
  EXPECT_EQ(Run({kUnavailable}, false), kUnavailable);
  EXPECT_EQ(Run({absl::InternalError("x")}, true), absl::InternalError("x"));
  EXPECT_EQ(Run({absl::ResourceExhaustedError("x")}, true), absl::ResourceExhaustedError("x"));
}

TEST_F(RetryConnectionTest, GivesUpAfterTheAttemptsOfThePolicy) {
  EXPECT_EQ(Run({4, kUnavailable}, true), kUnavailable);
  EXPECT_EQ(inner_->attempts(), 4u);
}

TEST_F(RetryConnectionTest, WaitsLongerEachTimeUpToTheCap) {
  EXPECT_FALSE(Run({4, kUnavailable}, true).ok());
  ASSERT_EQ(waits_.size(), 3u);
  const double caps[] = {1, 2, 3};
  for (int i = 0; i < 3; ++i) {
    EXPECT_GE(waits_[i], absl::Seconds(caps[i] / 2));
    EXPECT_LE(waits_[i], absl::Seconds(caps[i]));
  }
}

TEST_F(RetryConnectionTest, DoesNotWaitPastTheDeadline) {
  EXPECT_EQ(Run({kUnavailable}, true, absl::Now() + absl::Milliseconds(100)), kUnavailable);
  EXPECT_TRUE(waits_.empty());
}

// Whether a client that retries repeats the call.
template <typename Args>
bool Repeats(const Args& args) {
  const auto inner = std::make_shared<Scripted>(std::vector<absl::Status>{kUnavailable, absl::OkStatus()});
  const Client client(
      MakeRetryConnection(inner, RetryPolicy(), [](absl::Duration, std::function<void()> fn) { fn(); }));
  const absl::Status status = client.Call(args).status();
  EXPECT_EQ(absl::IsUnavailable(status), inner->attempts() == 1);  // The empty response may be refused.
  return inner->attempts() == 2;
}

TEST(RetriedCalls, ThoseThatTrainAreRepeatedIfTheyCarryTheirStep) {
  const std::vector<float> input(2);
  const std::vector<int64_t> labels = {0};
  BackwardArgs backward{.grad_output = TensorView(absl::MakeConstSpan(input), {1, 1, 2})};
  ApplyGradientsArgs apply{.optimizer = Sgd{}};
  TrainStepArgs train{.input = TensorView(absl::MakeConstSpan(input), {1, 1, 2}),
                      .labels = labels,
                      .options = {.optimizer = Sgd{}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}}};
  ForwardArgs forward{.input = TensorView(absl::MakeConstSpan(input), {1, 1, 2}), .keep_trace = true};
  EXPECT_FALSE(Repeats(backward));
  EXPECT_FALSE(Repeats(apply));
  EXPECT_FALSE(Repeats(train));
  EXPECT_FALSE(Repeats(forward));
  backward.step = apply.step = train.step = forward.step = 0;
  EXPECT_TRUE(Repeats(backward));
  EXPECT_TRUE(Repeats(apply));
  EXPECT_TRUE(Repeats(train));
  EXPECT_TRUE(Repeats(forward));
}

TEST(RetriedCalls, ThoseThatComeToTheSameWhenMadeTwiceAreRepeatedWithoutAStep) {
  EXPECT_TRUE(Repeats(ZeroGradientsArgs{}));
  EXPECT_TRUE(Repeats(ResetNetArgs{}));
  EXPECT_TRUE(Repeats(GetNetworkArgs{.include_optimizer_state = true, .include_gradients = true}));
}

}  // namespace
}  // namespace spikeserve

#include "runtime/stream.h"

#include <memory>
#include <new>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/stream_testing.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {
namespace {

using testing::Echo;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kEcho;
using testing::StreamTest;

// Keeps the names: as many bytes as they have letters.
class Keeper final : public Echo {
 public:
  absl::Status Take(const codec::Envelope& message, HeldNetwork* held, Context& context) override {
    kept_ += static_cast<int64_t>(static_cast<const v1::GetNetworkRequest&>(*message.message).network().size());
    return Echo::Take(message, held, context);
  }
  int64_t KeptBytes() const override { return kept_; }

 private:
  int64_t kept_ = 0;
};

const StreamMethod kKeeper{&v1::GetNetworkRequest::default_instance(),
                           []() -> std::unique_ptr<StreamHandler> { return std::make_unique<Keeper>(); }};
TEST_F(StreamTest, AnswersInOrderAndEndsWhenTheClientHasSentAll) {
  Arrive("ab");
  WorkAndWrite();
  Arrive("c");
  WorkAndWrite();
  ArriveEnd();
  WorkAndWrite();
  EXPECT_THAT(written_, ElementsAre("a", "b", "c", "end"));
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->ok());
}

TEST_F(StreamTest, EndsWhereMemoryRunsOutForTheBytesOfAnAnswer) {
  write_ = [] { throw std::bad_alloc(); };
  Arrive("ab");
  Work();
  EXPECT_THAT(written_, IsEmpty());
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(held_bytes_, 0);
}

// Until the transport has it, which counts it itself.
TEST_F(StreamTest, AResponseThatWaitsIsCounted) {
  Arrive("abc");
  Work();
  EXPECT_THAT(written_, ElementsAre("a"));
  EXPECT_GT(held_bytes_, 0) << "b waits";
  Written(/*ok=*/false);
  Work();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(held_bytes_, 0);
}

// All of it was carried out: UNAVAILABLE would tell the client that it was not.
TEST_F(StreamTest, OneWhoseClientHasSentAllEndsByItselfWhereTheServerIsAboutToEnd) {
  static const StreamMethod on_network = [] {
    StreamMethod method = kEcho;
    method.on_network = true;
    return method;
  }();
  Open(on_network);
  Arrive("a");
  stream_->EndWhenIdle();
  ArriveEnd();
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->ok()) << *result_;
}

TEST_F(StreamTest, AnEmptyStreamIsClosedToo) {
  ArriveEnd();
  WorkAndWrite();
  EXPECT_THAT(written_, ElementsAre("end"));
  EXPECT_TRUE(result_.has_value() && result_->ok());
}

TEST_F(StreamTest, ReadsAheadOnlyAsFarAsIsToBeComputed) {
  EXPECT_EQ(reads_, 1);
  Arrive("a");
  EXPECT_EQ(reads_, 1);
  Arrive("b");
  EXPECT_EQ(reads_, 0);  // Two wait already.
  Work();
  EXPECT_EQ(reads_, 1);
}

TEST_F(StreamTest, AClientThatDoesNotReadIsNotComputedForAndNotReadFrom) {
  Arrive("abcdefgh");
  Arrive("ijkl");
  Work();
  EXPECT_THAT(written_, ElementsAre("a"));  // Under way; another one waits, and no third is made.
  Arrive("m");
  EXPECT_EQ(reads_, 0);
  EXPECT_THAT(tasks_, IsEmpty());
  Written();
  Work();
  EXPECT_THAT(written_, ElementsAre("a", "b"));
  WorkAndWrite();
  ArriveEnd();
  WorkAndWrite();
  EXPECT_EQ(written_.size(), 14u);
  EXPECT_TRUE(result_.has_value() && result_->ok());
}

TEST_F(StreamTest, AnErrorOfTheHandlerEndsTheStream) {
  Arrive("bad");
  Arrive("a");
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(written_, IsEmpty());
}

TEST_F(StreamTest, ResponsesThatWereMadeBeforeAnErrorAreWritten) {
  Arrive("a");
  Arrive("b");
  Work();
  Arrive("bad");
  Work();
  EXPECT_FALSE(result_.has_value());
  WorkAndWrite();
  EXPECT_THAT(written_, ElementsAre("a", "b"));
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StreamTest, AMessageThatDoesNotParseEndsTheStream) {
  --reads_;
  stream_->OnRead(Stream::Message{[](const google::protobuf::Message&) -> absl::StatusOr<codec::Envelope> {
    return absl::InvalidArgumentError("cut off");
  }});
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->message(), "cut off");
}

TEST_F(StreamTest, CancellingEndsItWhenNothingIsUnderWay) {
  Arrive("abc");
  Work();
  ASSERT_TRUE(writing_);
  stream_->OnCancelled();
  EXPECT_FALSE(result_.has_value());  // A write is under way.
  Written(false);
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(tasks_, IsEmpty());
}

TEST_F(StreamTest, TheBytesOfAMessageAreHeldUntilItIsTaken) {
  Arrive("a", false, 10);
  Arrive("b", false, 20);
  EXPECT_EQ(held_bytes_, 30);
  WorkAndWrite();
  EXPECT_EQ(held_bytes_, 0);
  Arrive("c", false, 30);
  stream_->OnCancelled();
  WorkAndWrite();
  stream_.reset();
  EXPECT_EQ(held_bytes_, 0);
}

TEST_F(StreamTest, AMessageThatIsTooMuchEndsItAfterTheResponsesToTheOthers) {
  Arrive("a");
  Work();
  ASSERT_TRUE(writing_);
  Arrive("b", false, 101);
  EXPECT_FALSE(result_.has_value());
  Written();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(held_bytes_, 0);
}

TEST_F(StreamTest, ADeadlineThatPassedEndsIt) {
  wanted_ = absl::DeadlineExceededError("late");
  Arrive("a");
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(StreamTest, WhatTheHandlerKeepsIsHeldUntilTheEnd) {
  Open(kKeeper);
  Arrive("abc");
  WorkAndWrite();
  EXPECT_EQ(held_bytes_, 3);
  Arrive("de");
  WorkAndWrite();
  EXPECT_EQ(held_bytes_, 5);
  ArriveEnd();
  WorkAndWrite();
  EXPECT_TRUE(result_.has_value() && result_->ok());
  EXPECT_EQ(held_bytes_, 0);
}

// Until the handler has it; of small ones it is not worth to ask.
TEST_F(StreamTest, WhatAMessageBecomesCountsWhileItIsTaken) {
  static int64_t* held;
  static int64_t held_in_take;
  held = &held_bytes_;
  class Looker final : public testing::Echo {
   public:
    absl::Status Take(const codec::Envelope&, HeldNetwork*, Context&) override {
      held_in_take = *held;
      return absl::OkStatus();
    }
  };
  static const StreamMethod kLooker{&v1::GetNetworkRequest::default_instance(),
                                    []() -> std::unique_ptr<StreamHandler> { return std::make_unique<Looker>(); }};
  Open(kLooker);
  most_bytes_ = 1 << 20;
  Arrive(std::string(100'000, 'x'), false, 100);
  WorkAndWrite();
  EXPECT_EQ(held_in_take, 0);
  Arrive(std::string(100'000, 'x'), false, 20'000);
  WorkAndWrite();
  EXPECT_GE(held_in_take, 100'000);
  EXPECT_LT(held_in_take, 120'000) << "the bytes that it was read from still count";
  EXPECT_EQ(held_bytes_, 0);
}

TEST_F(StreamTest, EndsWhereThereIsNoRoomForWhatTheHandlerKeeps) {
  Open(kKeeper);
  Arrive("abc");
  WorkAndWrite();
  Arrive(std::string(101, 'x'));
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(held_bytes_, 0);
}

TEST_F(StreamTest, AStreamThatEndsByItselfGoesOn) {
  stream_->EndWhenIdle();
  Arrive("ab");
  WorkAndWrite();
  ArriveEnd();
  WorkAndWrite();
  EXPECT_THAT(written_, ElementsAre("a", "b", "end"));
  EXPECT_TRUE(result_.has_value() && result_->ok());
}

}  // namespace
}  // namespace spikeserve::server

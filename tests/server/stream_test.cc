#include "runtime/stream.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/compute_pool.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Messages here are names of networks: a handler that answers each name with as many responses as it has letters, and
// the end of the stream with "end".
class Echo : public StreamHandler {
 public:
  absl::Status Take(const codec::Envelope& message, HeldNetwork*, Context&) override {
    const std::string& name = static_cast<const v1::GetNetworkRequest&>(*message.message).network();
    if (name == "bad") return absl::InvalidArgumentError("bad");
    for (const char letter : name) ready_.push_back(std::string(1, letter));
    return absl::OkStatus();
  }
  absl::Status Close(Context&) override {
    ready_.push_back("end");
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<codec::Envelope>> Next(Context&) override {
    if (ready_.empty()) return std::nullopt;
    auto response = std::make_unique<v1::GetNetworkRequest>();
    response->set_network(ready_.front());
    ready_.pop_front();
    return codec::Envelope{std::move(response), {}};
  }

 private:
  std::deque<std::string> ready_;
};

const StreamMethod kEcho{&v1::GetNetworkRequest::default_instance(),
                         []() -> std::unique_ptr<StreamHandler> { return std::make_unique<Echo>(); }};

// A transport under the test's control, and a pool whose tasks run when the test says so.
class StreamTest : public ::testing::Test, public StreamTransport {
 protected:
  StreamTest() {
    stream_ = std::make_shared<Stream>(
        kEcho, *this, [this](std::function<void()> task) { tasks_.push_back(std::move(task)); },
        [this](const std::function<absl::Status(Context&)>& fn) {
          if (!wanted_.ok()) return wanted_;
          return fn(context_);
        });
    stream_->Start();
  }

  void Read() override { ++reads_; }
  void Write(codec::Envelope response) override {
    EXPECT_FALSE(writing_);
    writing_ = true;
    written_.push_back(static_cast<const v1::GetNetworkRequest&>(*response.message).network());
  }
  void Finish(const absl::Status& status) override {
    EXPECT_FALSE(result_.has_value());
    EXPECT_FALSE(writing_);
    result_ = status;
  }

  void Arrive(const std::string& name) {
    ASSERT_GT(reads_, 0);
    --reads_;
    stream_->OnRead([name](const google::protobuf::Message&) -> absl::StatusOr<codec::Envelope> {
      auto message = std::make_unique<v1::GetNetworkRequest>();
      message->set_network(name);
      return codec::Envelope{std::move(message), {}};
    });
  }
  void ArriveEnd() {
    --reads_;
    stream_->OnRead(std::nullopt);
  }
  void Written(bool ok = true) {
    ASSERT_TRUE(writing_);
    writing_ = false;
    stream_->OnWritten(ok);
  }
  // Runs tasks until there are none.
  void Work() {
    while (!tasks_.empty()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  // The same, with all writes done at once.
  void WorkAndWrite() {
    for (Work(); writing_; Work()) Written();
  }

  Limits limits_;
  ComputePool pool_{1};
  NetworkStore networks_{limits_, pool_, absl::Now};
  BufferPool buffers_{0};
  Counters counters_;
  Context context_{limits_, InlineExecutor(), networks_, buffers_, counters_};
  absl::Status wanted_;
  std::deque<std::function<void()>> tasks_;
  int reads_ = 0;
  bool writing_ = false;
  std::vector<std::string> written_;
  std::optional<absl::Status> result_;
  std::shared_ptr<Stream> stream_;
};

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

TEST_F(StreamTest, AMessageThatDoesNotParseEndsTheStream) {
  --reads_;
  stream_->OnRead([](const google::protobuf::Message&) -> absl::StatusOr<codec::Envelope> {
    return absl::InvalidArgumentError("cut off");
  });
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

TEST_F(StreamTest, ADeadlineThatPassedEndsIt) {
  wanted_ = absl::DeadlineExceededError("late");
  Arrive("a");
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace spikeserve::server

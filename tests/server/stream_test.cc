#include "runtime/stream.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <latch>
#include <limits>
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

// The same, on the networks of these names; it notes that on whose strand it took each.
class EchoOnNetwork final : public Echo {
 public:
  const std::string* NetworkOf(const codec::Envelope& message) override {
    const std::string& name = static_cast<const v1::GetNetworkRequest&>(*message.message).network();
    return name == "none" ? nullptr : &name;
  }
  int64_t Work(const codec::Envelope&, const HeldNetwork&) const override { return work; }
  absl::Status Take(const codec::Envelope& message, HeldNetwork* held, Context& context) override {
    if (held == nullptr) return absl::InvalidArgumentError("no network");
    EXPECT_EQ(held->name, static_cast<const v1::GetNetworkRequest&>(*message.message).network());
    EXPECT_TRUE(held->strand->busy());
    thread = std::this_thread::get_id();
    return Echo::Take(message, held, context);
  }

  // What Work says, and where the last Take ran.
  static inline int64_t work;
  static inline std::atomic<std::thread::id> thread;
};

const StreamMethod kEchoOnNetwork{&v1::GetNetworkRequest::default_instance(),
                                  []() -> std::unique_ptr<StreamHandler> { return std::make_unique<EchoOnNetwork>(); },
                                  /*on_network=*/true};

// A transport under the test's control, and a pool whose tasks run when the test says so.
class StreamTest : public ::testing::Test, public StreamTransport {
 protected:
  StreamTest() { Open(kEcho); }

  // The engine, as far as a stream knows it.
  class Host final : public StreamHost {
   public:
    explicit Host(StreamTest& test) : test_(test) {}
    void Submit(std::function<void()> task) override { test_.tasks_.push_back(std::move(task)); }
    absl::StatusOr<std::shared_ptr<HeldNetwork>> FindNetwork(const std::string& name) override {
      return test_.networks_.Find(name, /*owner=*/"");
    }
    absl::Status Compute(HeldNetwork*, bool, absl::FunctionRef<absl::Status(Context&)> fn) override {
      if (!test_.wanted_.ok()) return test_.wanted_;
      return fn(test_.context_);
    }
    absl::Status Hold(int64_t bytes) override {
      if (bytes > test_.most_bytes_) return absl::ResourceExhaustedError("too much");
      test_.held_bytes_ += bytes;
      return absl::OkStatus();
    }
    void Release(int64_t bytes) override { test_.held_bytes_ -= bytes; }
    absl::Status Keep(int64_t bytes) override { return Hold(bytes); }
    void OnEnd(const absl::Status& status, bool in_order) override {
      test_.ended_.push_back(status);
      test_.in_order_ = in_order;
    }

   private:
    StreamTest& test_;
  };

  void Open(const StreamMethod& method) {
    reads_ = 0;
    ended_.clear();
    stream_ = std::make_shared<Stream>(method, *this, std::make_unique<Host>(*this));
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
    EXPECT_THAT(ended_, ElementsAre(status));  // The host is told first.
    result_ = status;
  }

  void Arrive(const std::string& name, bool may_compute_at_once = false, int64_t bytes = 1) {
    ASSERT_GT(reads_, 0);
    --reads_;
    stream_->OnRead(Stream::Message{[name](const google::protobuf::Message&) -> absl::StatusOr<codec::Envelope> {
                                      auto message = std::make_unique<v1::GetNetworkRequest>();
                                      message->set_network(name);
                                      return codec::Envelope{std::move(message), {}};
                                    },
                                    may_compute_at_once, bytes});
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
  const Caller caller_;
  const Wanted wanted_by_all_;
  Context context_{limits_, InlineExecutor(), networks_, buffers_, [] { return Statistics(); },
                   caller_, wanted_by_all_};
  absl::Status wanted_;
  std::deque<std::function<void()>> tasks_;
  int reads_ = 0;
  bool writing_ = false;
  std::vector<std::string> written_;
  std::optional<absl::Status> result_;
  std::vector<absl::Status> ended_;
  bool in_order_ = false;
  int64_t held_bytes_ = 0;
  int64_t most_bytes_ = 100;
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

class NetworkStreamTest : public StreamTest {
 protected:
  NetworkStreamTest() {
    held_ = *networks_.Add(*Network::Create({{.kind = IfNode{}}}), /*owner=*/"");
    EchoOnNetwork::work = 0;
    EchoOnNetwork::thread = std::thread::id();
    Open(kEchoOnNetwork);
  }

  // Waits until the network's strand has nothing to do.
  void WaitForStrand() const {
    while (held_->strand->busy()) std::this_thread::yield();
  }

  std::shared_ptr<HeldNetwork> held_;
};

TEST_F(NetworkStreamTest, WhatIsSmallIsTakenInTheThreadThatReadIt) {
  Arrive(held_->name, /*may_compute_at_once=*/true);
  EXPECT_EQ(EchoOnNetwork::thread, std::this_thread::get_id());
  EXPECT_THAT(tasks_, IsEmpty());
  EXPECT_EQ(written_.size(), 1u);
}

TEST_F(NetworkStreamTest, WhatIsNotSmallIsTakenOnThePool) {
  EchoOnNetwork::work = std::numeric_limits<int64_t>::max();
  Arrive(held_->name, /*may_compute_at_once=*/true);
  WaitForStrand();
  EXPECT_NE(EchoOnNetwork::thread, std::thread::id());
  EXPECT_NE(EchoOnNetwork::thread, std::this_thread::get_id());
}

TEST_F(NetworkStreamTest, WaitsForItsTurnOnTheNetworkWithoutKeepingTheThread) {
  std::latch go(1);
  held_->strand->Post([&] { go.wait(); });
  Arrive(held_->name, /*may_compute_at_once=*/true);
  EXPECT_THAT(written_, IsEmpty());
  go.count_down();
  WaitForStrand();
  EXPECT_NE(EchoOnNetwork::thread, std::this_thread::get_id());
  EXPECT_EQ(written_.size(), 1u);
}

TEST_F(NetworkStreamTest, DoesNotHoldTheNetworkWhileItWaitsForTheClient) {
  for (const bool at_once : {true, false, true}) {
    Arrive(held_->name, at_once);  // Of many responses, of which the client reads none.
    Work();
    EXPECT_FALSE(held_->strand->busy());
  }
  EXPECT_FALSE(result_.has_value());
}

TEST_F(NetworkStreamTest, EndsWhenIdleAfterAllThatWasReadIsAnswered) {
  Arrive(held_->name);
  Arrive(held_->name);
  stream_->EndWhenIdle();
  EXPECT_FALSE(result_.has_value());
  WorkAndWrite();
  EXPECT_GT(written_.size(), 0u);
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(held_bytes_, 0);
}

TEST_F(NetworkStreamTest, EndsAtOnceWhereItIsIdle) {
  stream_->EndWhenIdle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(in_order_);
}

TEST_F(NetworkStreamTest, ThatIsCutOffHasNotEndedInOrder) {
  stream_->End(absl::UnavailableError("cut off"));
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(in_order_);
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

TEST_F(NetworkStreamTest, ANetworkThatIsGoneEndsTheStream) {
  Arrive(held_->name);
  WorkAndWrite();
  const size_t before = written_.size();
  ASSERT_TRUE(networks_.Remove(held_->name, held_->owner).ok());
  Arrive(held_->name);
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(written_.size(), before);
}

TEST_F(NetworkStreamTest, AMessageForNoNetworkIsTakenSoThatItIsRefused) {
  Arrive("none");
  WorkAndWrite();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->message(), "no network");
}

}  // namespace
}  // namespace spikeserve::server

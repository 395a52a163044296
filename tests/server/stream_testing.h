// A stream under the test's control.

#ifndef SPIKESERVE_TESTS_SERVER_STREAM_TESTING_H_
#define SPIKESERVE_TESTS_SERVER_STREAM_TESTING_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/compute_pool.h"
#include "runtime/stream.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::testing {

// Messages here are names of networks: a handler that answers each name with as many responses as it has letters, and
// the end of the stream with "end".
class Echo : public server::StreamHandler {
 public:
  absl::Status Take(const codec::Envelope& message, server::HeldNetwork*, server::Context&) override {
    const std::string& name = static_cast<const v1::GetNetworkRequest&>(*message.message).network();
    if (name == "bad") return absl::InvalidArgumentError("bad");
    for (const char letter : name) ready_.push_back(std::string(1, letter));
    return absl::OkStatus();
  }
  absl::Status Close(server::Context&) override {
    ready_.push_back("end");
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<codec::Envelope>> Next(server::Context&) override {
    if (ready_.empty()) return std::nullopt;
    auto response = std::make_unique<v1::GetNetworkRequest>();
    response->set_network(ready_.front());
    ready_.pop_front();
    return codec::Envelope{std::move(response), {}};
  }

 private:
  std::deque<std::string> ready_;
};

inline const server::StreamMethod kEcho{
    &v1::GetNetworkRequest::default_instance(),
    []() -> std::unique_ptr<server::StreamHandler> { return std::make_unique<Echo>(); }};

// A transport under the test's control, and a pool whose tasks run when the test says so.
class StreamTest : public ::testing::Test, public server::StreamTransport {
 protected:
  StreamTest() { Open(kEcho); }

  // The engine, as far as a stream knows it.
  class Host final : public server::StreamHost {
   public:
    explicit Host(StreamTest& test) : test_(test) {}
    void Submit(std::function<void()> task) override { test_.tasks_.push_back(std::move(task)); }
    absl::StatusOr<std::shared_ptr<server::HeldNetwork>> FindNetwork(const std::string& name) override {
      return test_.networks_.Find(name, /*owner=*/"");
    }
    absl::Status Compute(server::HeldNetwork*, bool, absl::FunctionRef<absl::Status(server::Context&)> fn) override {
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
    void Count(int64_t bytes) override { test_.held_bytes_ += bytes; }
    void OnEnd(const absl::Status& status, bool in_order) override {
      test_.ended_.push_back(status);
      test_.in_order_ = in_order;
    }

   private:
    StreamTest& test_;
  };

  void Open(const server::StreamMethod& method) {
    reads_ = 0;
    ended_.clear();
    stream_ = std::make_shared<server::Stream>(method, *this, std::make_unique<Host>(*this));
    stream_->Start();
  }

  void Read() override { ++reads_; }
  void Write(codec::Envelope response) override {
    EXPECT_FALSE(writing_);
    if (write_) write_();
    writing_ = true;
    written_.push_back(static_cast<const v1::GetNetworkRequest&>(*response.message).network());
  }
  void Finish(const absl::Status& status) override {
    EXPECT_FALSE(result_.has_value());
    EXPECT_FALSE(writing_);
    EXPECT_THAT(ended_, ::testing::ElementsAre(status));  // The host is told first.
    result_ = status;
  }

  void Arrive(const std::string& name, bool may_compute_at_once = false, int64_t bytes = 1) {
    ASSERT_GT(reads_, 0);
    --reads_;
    stream_->OnRead(
        server::Stream::Message{[name](const google::protobuf::Message&) -> absl::StatusOr<codec::Envelope> {
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

  server::Limits limits_;
  server::ComputePool pool_{1};
  server::NetworkStore networks_{limits_, pool_, absl::Now};
  BufferPool buffers_{0};
  const server::Caller caller_;
  const server::Wanted wanted_by_all_;
  server::Context context_{
      limits_,        InlineExecutor(),         networks_, buffers_, [] { return server::Statistics(); }, caller_,
      wanted_by_all_, limits_.max_decoded_bytes};
  absl::Status wanted_;
  std::deque<std::function<void()>> tasks_;
  int reads_ = 0;
  bool writing_ = false;
  // Called by Write first.
  std::function<void()> write_;
  std::vector<std::string> written_;
  std::optional<absl::Status> result_;
  std::vector<absl::Status> ended_;
  bool in_order_ = false;
  int64_t held_bytes_ = 0;
  int64_t most_bytes_ = 100;
  std::shared_ptr<server::Stream> stream_;
};
}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SERVER_STREAM_TESTING_H_

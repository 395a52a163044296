// Streams whose messages are for networks.

#include <atomic>
#include <latch>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/stream.h"
#include "server/stream_testing.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {
namespace {

using testing::Echo;
using ::testing::IsEmpty;
using testing::StreamTest;

// Echoes on the networks of these names. It notes that on whose strand it took each.
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

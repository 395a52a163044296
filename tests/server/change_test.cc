#include "handlers/change.h"

#include <cstdint>
#include <new>
#include <optional>

#include "gtest/gtest.h"
#include "runtime/compute_pool.h"
#include "runtime/steady_time.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {
namespace {

using Response = v1::ResetNetResponse;

class ChangeTest : public ::testing::Test {
 protected:
  absl::StatusOr<codec::Envelope> Change(std::optional<uint64_t> step,
                                         absl::FunctionRef<absl::StatusOr<codec::Outgoing<Response>>()> change) {
    return ChangeNetwork<Response>(step, *held_, context_, change);
  }
  absl::StatusOr<codec::Outgoing<Response>> Made() {
    ++made_;
    return codec::Outgoing<Response>(buffers_);
  }

  Limits limits_;
  ComputePool pool_{1};
  NetworkStore networks_{limits_, pool_, SteadyNow};
  BufferPool buffers_{0};
  const Caller caller_;
  const Wanted wanted_;
  Context context_{limits_, InlineExecutor(),         networks_, buffers_, [] { return Statistics(); }, caller_,
                   wanted_, limits_.max_decoded_bytes};
  const std::shared_ptr<HeldNetwork> held_ = *networks_.Add(*Network::Create({{.kind = IfNode{}}}), /*owner=*/"");
  int made_ = 0;
};

TEST_F(ChangeTest, ARepetitionGetsTheReplyAndIsNotMade) {
  for (int i = 0; i < 2; ++i) {
    const auto reply = Change(0, [&] { return Made(); });
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(static_cast<const Response&>(*reply->message).next_step(), 1u);
  }
  EXPECT_EQ(made_, 1);
}

TEST_F(ChangeTest, OneThatFailsIsNone) {
  const auto fail = [] { return absl::InvalidArgumentError("wrong"); };
  EXPECT_EQ(Change(0, fail).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Change(0, [&] { return Made(); }).ok());
  EXPECT_EQ(Change(0, fail).status().code(), absl::StatusCode::kOk) << "the reply is kept";
}

// Nobody knows what it left, and it would be made on top of that.
TEST_F(ChangeTest, OneThatRanOutOfMemoryAfterItWasMadeIsNotMadeAgainWhereItIsRepeated) {
  ASSERT_TRUE(Change(0, [&] { return Made(); }).ok());
  const auto throws = [&]() -> absl::StatusOr<codec::Outgoing<Response>> {
    Made().IgnoreError();
    throw std::bad_alloc();
  };
  EXPECT_THROW(Change(1, throws).IgnoreError(), std::bad_alloc);
  EXPECT_EQ(Change(1, [&] { return Made(); }).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Change(0, [&] { return Made(); }).status().code(), absl::StatusCode::kFailedPrecondition)
      << "the reply before it is no answer to what comes after it";
  EXPECT_EQ(made_, 2);
  EXPECT_TRUE(Change(2, [&] { return Made(); }).ok());
}

}  // namespace
}  // namespace spikeserve::server

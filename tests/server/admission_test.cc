#include "runtime/admission.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/retry_after.h"

namespace spikeserve::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AdmissionTest : public ::testing::Test {
 protected:
  // With the limits as the test has set them.
  Admission& admission() {
    if (admission_ == nullptr) {
      admission_ = std::make_unique<Admission>(limits_, 1, buffers_, counters_, [this] { ++asked_for_room_; });
    }
    return *admission_;
  }
  static const Method& MethodOf(const char* path) { return Methods().at(path); }
  const Method& forward_ = MethodOf("/spikeserve.v1.SpikeNetworkService/Forward");
  const Method& statistics_ = MethodOf("/spikeserve.v1.SpikeServerService/ServerStatistics");

  static void ExpectRefused(const absl::Status& status, const char* flag) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), HasSubstr(flag));
    ASSERT_TRUE(RetryAfterOf(status).has_value());
    EXPECT_GT(*RetryAfterOf(status), absl::ZeroDuration());
  }

  Limits limits_;
  BufferPool buffers_{0};
  Counters counters_;
  int asked_for_room_ = 0;
  std::unique_ptr<Admission> admission_;
};

TEST_F(AdmissionTest, NoMoreCallsThanTheLimitAreInProgress) {
  limits_.max_calls = 2;
  EXPECT_TRUE(admission().Begin().ok());
  EXPECT_TRUE(admission().Begin().ok());
  ExpectRefused(admission().Begin(), "--max-calls");
  admission().End();
  EXPECT_TRUE(admission().Begin().ok());
  EXPECT_EQ(counters_.calls_in_progress, 2);
  EXPECT_EQ(counters_.calls_refused, 1);
}

TEST_F(AdmissionTest, MessagesAndTheTensorsOfAllCallsCountAsBytesInFlight) {
  limits_.max_bytes_in_flight = 10 << 20;
  EXPECT_TRUE(admission().Hold(4 << 20).ok());
  auto tensor = buffers_.Take(4 << 20);
  EXPECT_EQ(asked_for_room_, 0);
  ExpectRefused(admission().Hold(4 << 20), "--max-bytes-in-flight");
  EXPECT_EQ(asked_for_room_, 1);
  EXPECT_EQ(admission().bytes_in_flight(), 8 << 20);
  tensor.reset();
  EXPECT_TRUE(admission().Hold(4 << 20).ok());
  admission().Release(8 << 20);
  EXPECT_EQ(admission().bytes_in_flight(), 0);
}

TEST_F(AdmissionTest, ACallThatThereIsNeverRoomForIsNotToldToTryAgain) {
  limits_.max_bytes_in_flight = 10 << 20;
  const absl::Status status = admission().Hold((10 << 20) + 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max-bytes-in-flight"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("try again")));
  EXPECT_EQ(RetryAfterOf(status), std::nullopt);
  EXPECT_EQ(asked_for_room_, 0);
  EXPECT_EQ(counters_.calls_refused, 0) << "it is not that there is too much to do";
  EXPECT_EQ(admission().bytes_in_flight(), 0);
  EXPECT_TRUE(admission().Hold(10 << 20).ok());
}

TEST_F(AdmissionTest, TheWaitIsEstimatedFromWhatTheMethodHasTakenLately) {
  limits_.max_queue_delay = absl::Milliseconds(100);
  absl::Duration cost;
  // What a method takes is not known before its first call.
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(admission().Enter(forward_, cost).ok());
  for (int i = 0; i < 10; ++i) admission().Leave(cost);

  admission().Learn(forward_, absl::Milliseconds(60));
  EXPECT_TRUE(admission().Enter(forward_, cost).ok());
  EXPECT_EQ(cost, absl::Milliseconds(60));
  EXPECT_TRUE(admission().Enter(forward_, cost).ok());
  const absl::Status refused = admission().Enter(forward_, cost);
  ExpectRefused(refused, "--max-queue-delay");
  EXPECT_EQ(*RetryAfterOf(refused), absl::Milliseconds(20));
  // Other methods wait for the same threads.
  ExpectRefused(admission().Enter(statistics_, cost), "--max-queue-delay");
}

TEST_F(AdmissionTest, MessagesOfStreamsMakeCallsWaitAndAreNeverRefused) {
  limits_.max_queue_delay = absl::Milliseconds(100);
  const StreamMethod& stream = StreamMethods().at("/spikeserve.v1.SpikeStreamService/StreamSpikeCluster");
  admission().Learn(stream, absl::Milliseconds(60));
  absl::Duration cost;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(admission().Join(stream), absl::Milliseconds(60));
  ExpectRefused(admission().Enter(forward_, cost), "--max-queue-delay");
  EXPECT_EQ(admission().Join(stream), absl::Milliseconds(60));
  for (int i = 0; i < 11; ++i) admission().Leave(absl::Milliseconds(60));
  EXPECT_EQ(admission().waiting(), 0);
}

TEST_F(AdmissionTest, CostsFollowTheCalls) {
  limits_.max_queue_delay = absl::Seconds(1);
  absl::Duration cost;
  admission().Learn(forward_, absl::Milliseconds(80));
  for (int i = 0; i < 100; ++i) admission().Learn(forward_, absl::Milliseconds(8));
  EXPECT_TRUE(admission().Enter(forward_, cost).ok());
  EXPECT_LT(cost, absl::Milliseconds(9));
  EXPECT_GE(cost, absl::Milliseconds(8));
}

TEST_F(AdmissionTest, EachNetworkHasALineOfItsOwn) {
  limits_.max_queue_delay = absl::Milliseconds(10);
  admission().Learn(forward_, absl::Seconds(1));
  WaitingLine busy(1), idle(1);
  absl::Duration cost;
  EXPECT_TRUE(admission().Enter(forward_, busy, cost).ok());
  ExpectRefused(admission().Enter(forward_, busy, cost), "--max-queue-delay");
  EXPECT_TRUE(admission().Enter(forward_, idle, cost).ok());
}

}  // namespace
}  // namespace spikeserve::server

#include "runtime/waiting_line.h"

#include "gtest/gtest.h"

namespace spikeserve::server {
namespace {

TEST(WaitingLine, AsManyAsThereAreServersMayWaitHoweverLong) {
  WaitingLine line(2);
  EXPECT_FALSE(line.Enter(absl::Hours(1), absl::ZeroDuration()));
  EXPECT_FALSE(line.Enter(absl::Hours(1), absl::ZeroDuration()));
  EXPECT_EQ(line.Enter(absl::Hours(1), absl::ZeroDuration()), absl::Hours(1));
  EXPECT_EQ(line.calls(), 2);
}

TEST(WaitingLine, OthersMayWaitAsLongAsTheCallsAheadTakeOnAllServers) {
  WaitingLine line(2);
  for (int i = 0; i < 11; ++i) EXPECT_FALSE(line.Enter(absl::Milliseconds(20), absl::Milliseconds(100))) << i;
  EXPECT_EQ(line.Enter(absl::Milliseconds(20), absl::Milliseconds(100)), absl::Milliseconds(110));
  line.Leave(absl::Milliseconds(20));
  EXPECT_FALSE(line.Enter(absl::Milliseconds(20), absl::Milliseconds(100)));
}

TEST(WaitingLine, WhatWasNotTakenLeavesNoTrace) {
  WaitingLine line(1);
  EXPECT_FALSE(line.Enter(absl::Seconds(1), absl::ZeroDuration()));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(line.Enter(absl::Seconds(1), absl::ZeroDuration()));
  line.Leave(absl::Seconds(1));
  EXPECT_EQ(line.calls(), 0);
  EXPECT_FALSE(line.Enter(absl::Seconds(1), absl::ZeroDuration()));
}

TEST(WaitingLine, WithoutALimitAllMayWait) {
  WaitingLine line(1);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(line.Enter(absl::Hours(10), absl::InfiniteDuration()));
}

}  // namespace
}  // namespace spikeserve::server

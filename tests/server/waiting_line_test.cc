#include "runtime/waiting_line.h"

#include "gtest/gtest.h"

namespace spikeserve::server {
namespace {

constexpr absl::Duration kCost = absl::Milliseconds(20);
constexpr absl::Duration kBound = absl::Milliseconds(100);

class WaitingLineTest : public ::testing::Test {
 protected:
  // Whether a call of that cost may wait.
  static bool Enters(WaitingLine& line, absl::Time now, absl::Duration cost = kCost) {
    return !line.Enter(cost, kBound, now).has_value();
  }
  // Calls until one is refused, and how many were not.
  static int Fill(WaitingLine& line, absl::Time now) {
    int calls = 0;
    while (Enters(line, now)) ++calls;
    return calls;
  }
  static void Empty(WaitingLine& line, absl::Time now) {
    while (line.calls() > 0) line.Leave(kCost, now);
  }

  const absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

TEST_F(WaitingLineTest, AsManyAsThereAreServersMayWaitHoweverLong) {
  WaitingLine line(2);
  EXPECT_TRUE(Enters(line, now_, absl::Hours(1)));
  EXPECT_TRUE(Enters(line, now_, absl::Hours(1)));
  const auto refusal = line.Enter(absl::Hours(1), kBound, now_);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->wait, absl::Hours(1));
  EXPECT_FALSE(refusal->overloaded);
  EXPECT_EQ(line.calls(), 2);
}

TEST_F(WaitingLineTest, OthersMayWaitAsLongAsTheCallsAheadTakeOnAllServers) {
  WaitingLine line(2);
  for (int i = 0; i < 11; ++i) EXPECT_TRUE(Enters(line, now_)) << i;
  line.Leave(kCost, now_);
  EXPECT_TRUE(Enters(line, now_));
  const auto refusal = line.Enter(kCost, kBound, now_);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->wait, absl::Milliseconds(110));
}

TEST_F(WaitingLineTest, WhatWasNotTakenLeavesNoTrace) {
  WaitingLine line(1);
  EXPECT_TRUE(Enters(line, now_, absl::Seconds(1)));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(Enters(line, now_, absl::Seconds(1)));
  line.Leave(absl::Seconds(1), now_);
  EXPECT_EQ(line.calls(), 0);
  EXPECT_TRUE(Enters(line, now_, absl::Seconds(1)));
}

TEST_F(WaitingLineTest, UnderOverloadOnlyAsManyWaitAsThereAreServers) {
  WaitingLine line(2);
  EXPECT_EQ(Fill(line, now_), 11);
  Empty(line, now_);
  for (int i = 1; i < 100; ++i) {
    const absl::Time now = now_ + absl::Milliseconds(90 * i);
    EXPECT_EQ(Fill(line, now), 2) << i;
    const auto refusal = line.Enter(kCost, kBound, now);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_TRUE(refusal->overloaded);
    Empty(line, now);
  }
}

// Otherwise callers that call again as soon as they are refused would keep it going.
TEST_F(WaitingLineTest, OverloadEndsHoweverManyAreRefused) {
  WaitingLine line(2);
  Fill(line, now_);
  const absl::Time last = now_ + 200 * kBound;
  for (absl::Time now = now_; now < last; now += kBound / 2) {
    Empty(line, now);
    EXPECT_LE(Fill(line, now), 11);
  }
  Empty(line, last);
  EXPECT_EQ(Fill(line, last), 11);
}

TEST_F(WaitingLineTest, LessThanOneCallOfAHundredWaitsLongerUnderALastingOverload) {
  WaitingLine line(1);
  // Calls take 1 ms, and the server is never without.
  constexpr absl::Duration kShort = absl::Milliseconds(1);
  int taken = 0, waited = 0;
  for (int millisecond = 0; millisecond < 100'000; ++millisecond) {
    const absl::Time now = now_ + absl::Milliseconds(millisecond);
    if (line.calls() > 0) line.Leave(kShort, now);
    for (int i = 0; i < 10; ++i) {
      const int64_t ahead = line.calls();
      if (line.Enter(kShort, kBound, now)) continue;
      ++taken;
      if (ahead > 1) ++waited;
    }
  }
  EXPECT_GT(taken, 99'900);
  EXPECT_LT(waited, taken / 100);
  EXPECT_GT(waited, 0);
}

TEST_F(WaitingLineTest, OverloadIsOverWhenNobodyHasWaitedForAsLongAsIsAllowed) {
  WaitingLine line(2);
  Fill(line, now_);
  Empty(line, now_ + absl::Milliseconds(10));
  EXPECT_EQ(Fill(line, now_ + absl::Milliseconds(109)), 2);
  Empty(line, now_ + absl::Milliseconds(120));
  EXPECT_EQ(Fill(line, now_ + absl::Milliseconds(220)), 11);
}

// What calls are expected to take tells nothing of the first long ones.
TEST_F(WaitingLineTest, WhereNoTurnComesNobodyElseMayWaitWhateverIsExpected) {
  WaitingLine line(2);
  constexpr absl::Duration kNone = absl::ZeroDuration();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Enters(line, now_ + i * kBound / 10, kNone)) << i;
  EXPECT_TRUE(Enters(line, now_ + kBound, kNone));
  const absl::Time later = now_ + kBound + absl::Milliseconds(1);
  const auto refusal = line.Enter(kNone, kBound, later);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->wait, kBound + absl::Milliseconds(1));
  EXPECT_FALSE(refusal->overloaded);
  // It was one long call.
  line.Leave(kNone, later);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Enters(line, later, kNone)) << i;
}

TEST_F(WaitingLineTest, ALineThatWasEmptyForLongHasNotWaited) {
  WaitingLine line(1);
  for (int i = 0; i < 3; ++i) {
    const absl::Time now = now_ + i * absl::Hours(1);
    EXPECT_EQ(Fill(line, now), 6);
    Empty(line, now);
    line.Join(kCost, now + absl::Hours(1) / 2);
    EXPECT_TRUE(Enters(line, now + absl::Hours(1) / 2));
    Empty(line, now + absl::Hours(1) / 2);
  }
}

TEST_F(WaitingLineTest, WithoutALimitAllMayWait) {
  WaitingLine line(1);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(line.Enter(absl::Hours(10), absl::InfiniteDuration(), now_));
}

}  // namespace
}  // namespace spikeserve::server

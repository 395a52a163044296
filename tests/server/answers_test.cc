#include "rpc/answers.h"

#include "gtest/gtest.h"
#include "rpc/peer_allowances.h"

namespace spikeserve::rpc {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);
// Two connections.
const char kTwo[2] = {};
const PeerAllowances::Key kA = &kTwo[0], kB = &kTwo[1];

TEST(PeerAllowances, ForAnAnswerIsThePatienceAndASecondForEach10Megabytes) {
  PeerAllowances allowances(absl::Seconds(5));
  allowances.Begin(kA, 100'000'000, kNow);
  EXPECT_EQ(allowances.Until(kA), kNow + absl::Seconds(15));
}

TEST(PeerAllowances, TheAnswersOfAConnectionHaveTheTimeOfAllOfThem) {
  PeerAllowances allowances(absl::Seconds(5));
  for (int i = 0; i < 40; ++i) allowances.Begin(kA, 100'000'000, kNow);
  allowances.Begin(kB, 100'000'000, kNow);
  EXPECT_EQ(allowances.Until(kA), kNow + absl::Seconds(405));
  EXPECT_EQ(allowances.Until(kB), kNow + absl::Seconds(15));
}

TEST(PeerAllowances, WhoTakesASmallAnswerNowAndThenGetsNoMoreTimeForLargeOnes) {
  PeerAllowances allowances(absl::Seconds(5));
  allowances.Begin(kA, 100'000'000, kNow);
  for (int i = 0; i < 100; ++i) {
    const absl::Time later = kNow + i * absl::Milliseconds(150);
    allowances.Begin(kA, 100'000, later);
    allowances.End(kA, 100'000, later);
  }
  EXPECT_LE(allowances.Until(kA), kNow + absl::Seconds(16));
}

TEST(PeerAllowances, TimeThatWasNotNeededIsNotSavedUp) {
  PeerAllowances allowances(absl::Seconds(5));
  absl::Time now = kNow;
  allowances.Begin(kA, 100'000'000, now);
  for (int i = 0; i < 100; ++i) {  // Ten times as fast as need be, and never without an answer.
    now += absl::Seconds(1);
    allowances.Begin(kA, 100'000'000, now);
    allowances.End(kA, 100'000'000, now);
  }
  EXPECT_EQ(allowances.Until(kA), now + absl::Seconds(15));
}

TEST(PeerAllowances, AnEmptyAnswerIsOneToo) {
  PeerAllowances allowances(absl::Seconds(5));
  allowances.Begin(kA, 0, kNow);
  allowances.Begin(kA, 5, kNow);
  allowances.End(kA, 5, kNow);
  EXPECT_EQ(allowances.Until(kA), kNow + absl::Seconds(5));
  allowances.End(kA, 0, kNow);
}

TEST(Answers, AreNotWatchedWhileTheyTakeLittleTogether) {
  Answers answers(absl::Seconds(1));
  for (int i = 0; i < 1000; ++i) {  // Of no calls: to watch one would not end well.
    const Answers::Sending sending = answers.Send(nullptr, Answers::kWatched - 1);
    EXPECT_EQ(sending.watched, nullptr);
    EXPECT_EQ(sending.unwatched_bytes, Answers::kWatched - 1);
    answers.Sent(sending);
  }
}

TEST(Answers, ThatAreEmptyAreNeverWatched) {
  Answers answers(absl::Seconds(1));
  int64_t on_their_way = 0;
  for (; on_their_way + Answers::kWatched - 1 <= Answers::kUnwatchedBytes; on_their_way += Answers::kWatched - 1) {
    answers.Send(nullptr, Answers::kWatched - 1);
  }
  answers.Send(nullptr, Answers::kUnwatchedBytes - on_their_way);
  const Answers::Sending sending = answers.Send(nullptr, 0);
  EXPECT_EQ(sending.watched, nullptr);
  EXPECT_EQ(sending.unwatched_bytes, 0);
}

TEST(Answers, CallsAreOpenUntilTheyEndAndThoseAfterTheCloseAreNotCounted) {
  Answers answers(absl::Seconds(1));
  const bool first = answers.Begin();
  answers.Close();
  const bool second = answers.Begin();
  EXPECT_EQ(answers.open(), 1);
  answers.End(second);
  EXPECT_EQ(answers.open(), 1);
  answers.End(first);
  EXPECT_EQ(answers.open(), 0);
}

}  // namespace
}  // namespace spikeserve::rpc

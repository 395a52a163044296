#include "rpc/answers.h"

#include "gtest/gtest.h"

namespace spikeserve::rpc {
namespace {

TEST(Answers, LargerOnesHaveMoreTime) {
  EXPECT_EQ(Answers::Allowance(absl::Seconds(5), 0), absl::Seconds(5));
  EXPECT_EQ(Answers::Allowance(absl::Seconds(5), 100'000'000), absl::Seconds(15));
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

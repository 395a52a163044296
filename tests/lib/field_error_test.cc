#include "spikeserve/compute/field_error.h"

#include <string>

#include "gtest/gtest.h"

namespace spikeserve {
namespace {

TEST(FieldError, NamesFieldWhatCameAndWhatIsNeeded) {
  const absl::Status status = InvalidField("t_in", "-1", ">= 0");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "t_in: -1; need >= 0");
  EXPECT_EQ(FieldOf(status), "t_in");
}

// They go into headers, of which peers take a few kilobytes.
TEST(FieldError, LongTextsAreCutBetweenCharacters) {
  std::string text(999, 'x');
  for (int i = 0; i < 1000; ++i) text += "\u00e4";
  const absl::Status status = InvalidField("layers", text, text);
  const std::string cut = std::string(999, 'x') + "...";
  EXPECT_EQ(status.message(), "layers: " + cut + "; need " + cut);
}

TEST(FieldError, TakesAnyCode) {
  const absl::Status status = FieldError(absl::StatusCode::kResourceExhausted, "v", "2 GiB", "at most 1 GiB");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(FieldOf(status), "v");
}

TEST(FieldError, SetFieldKeepsTheMessage) {
  absl::Status status = InvalidField("tau", "0", "other than 0");
  SetField(status, "layers[2].lif.tau");
  EXPECT_EQ(FieldOf(status), "layers[2].lif.tau");
  EXPECT_EQ(status.message(), "tau: 0; need other than 0");
}

TEST(FieldError, OtherErrorsBlameNoField) {
  EXPECT_EQ(FieldOf(absl::InternalError("t_in: lost")), "");
  EXPECT_EQ(FieldOf(absl::OkStatus()), "");
}

TEST(FieldError, WithinAFieldItNamesTheWholePath) {
  const absl::Status error = WithinField("losses[1].similarity", InvalidField("kernel.gaussian.sigma", "0", "> 0"));
  EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(error), "losses[1].similarity.kernel.gaussian.sigma");
  EXPECT_EQ(error.message(), "losses[1].similarity.kernel.gaussian.sigma: 0; need > 0");
  const absl::Status bare = WithinField("losses[0]", absl::FailedPreconditionError("NaN; need numbers"));
  EXPECT_EQ(bare.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FieldOf(bare), "losses[0]");
  EXPECT_EQ(bare.message(), "losses[0]: NaN; need numbers");
}

}  // namespace
}  // namespace spikeserve

#include "spikeserve/compute/field_error.h"

#include "gtest/gtest.h"

namespace spikeserve {
namespace {

TEST(FieldError, NamesFieldWhatCameAndWhatIsNeeded) {
  const absl::Status status = InvalidField("t_in", "-1", ">= 0");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "t_in: -1; need >= 0");
  EXPECT_EQ(FieldOf(status), "t_in");
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

}  // namespace
}  // namespace spikeserve

#include "cli/joined_steps.h"

#include <vector>

#include "gtest/gtest.h"

namespace spikeserve::cli {
namespace {

Tensor Block(Shape shape, float first) {
  Tensor block(DataType::kFloat32, std::move(shape));
  for (float& value : block.values<float>()) value = first++;
  return block;
}

TEST(JoinedSteps, AreTheBlocksOneBehindTheOther) {
  JoinedSteps joined;
  EXPECT_FALSE(joined.Release().has_value());
  ASSERT_TRUE(joined.Add(Block({2, 3}, 0)).ok());
  ASSERT_TRUE(joined.Add(Block({0, 3}, 100)).ok());
  ASSERT_TRUE(joined.Add(Block({1, 3}, 6)).ok());
  const Tensor all = *joined.Release();
  EXPECT_EQ(all.shape(), (Shape{3, 3}));
  for (int i = 0; i < 9; ++i) EXPECT_EQ(all.values<float>()[i], static_cast<float>(i));
}

TEST(JoinedSteps, AreLikeTheFirst) {
  JoinedSteps joined;
  EXPECT_EQ(joined.Add(Block({}, 0)).code(), absl::StatusCode::kInternal) << "a number has no steps";
  ASSERT_TRUE(joined.Add(Block({2, 3}, 0)).ok());
  for (const Shape& shape : std::vector<Shape>{{}, {2}, {2, 4}, {2, 3, 1}, {1, 1 << 20}}) {
    EXPECT_EQ(joined.Add(Block(shape, 0)).code(), absl::StatusCode::kInternal) << ShapeString(shape);
  }
  const absl::Status status = joined.Add(Tensor(DataType::kFloat64, {1, 3}));
  EXPECT_EQ(status, absl::InternalError("the server's block 1 is FLOAT64 [1, 3]; need steps like those of the first"));
  EXPECT_EQ(joined.Release()->shape(), (Shape{2, 3}));

  ASSERT_TRUE(joined.Add(Tensor(DataType::kBool, {int64_t{1} << 62, 0})).ok());
  EXPECT_EQ(joined.Add(Tensor(DataType::kBool, {int64_t{1} << 62, 0})).code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace spikeserve::cli

#include "spikeserve/compute/shape.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace spikeserve {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Shape, IsWrittenAsAList) {
  EXPECT_EQ(ShapeString({}), "[]");
  EXPECT_EQ(ShapeString({3, 4}), "[3, 4]");
}

// What a caller sent may have any number of lengths.
TEST(Shape, OfManyLengthsOnlySomeAreWritten) {
  EXPECT_EQ(ShapeString(std::vector<int64_t>(3000, 1)),
            "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, and 2984 more]");
}

TEST(Shape, AScalarHasOneElement) { EXPECT_EQ(ElementCount({}), 1); }

TEST(Shape, CountsUpToTheLargestInteger) {
  EXPECT_EQ(ElementCount({3, 1, 5}), 15);
  EXPECT_EQ(ElementCount({kMax}), kMax);
  EXPECT_EQ(ElementCount({int64_t{1} << 31, int64_t{1} << 31}), int64_t{1} << 62);
  EXPECT_EQ(ElementCount({int64_t{1} << 32, int64_t{1} << 31}), std::nullopt);
}

TEST(Shape, AZeroMakesAnyShapeEmpty) {
  EXPECT_EQ(ElementCount({kMax, kMax, 0}), 0);
  EXPECT_EQ(ByteCount(DataType::kFloat64, {0, kMax, kMax}), 0);
  EXPECT_EQ(ByteCount(DataType::kBit, {5, 0}), 0);
}

TEST(Shape, NegativeLengthsHaveNoCount) {
  EXPECT_EQ(ElementCount({-1}), std::nullopt);
  EXPECT_EQ(ElementCount({0, -1}), std::nullopt);
  EXPECT_EQ(ElementCount({std::numeric_limits<int64_t>::min(), -1}), std::nullopt);
}

TEST(Shape, BytesAreCountedByType) {
  EXPECT_EQ(ByteCount(DataType::kBool, {3, 5}), 15);
  EXPECT_EQ(ByteCount(DataType::kUint8, {3, 5}), 15);
  EXPECT_EQ(ByteCount(DataType::kInt32, {3, 5}), 60);
  EXPECT_EQ(ByteCount(DataType::kInt64, {3, 5}), 120);
  EXPECT_EQ(ByteCount(DataType::kFloat32, {3, 5}), 60);
  EXPECT_EQ(ByteCount(DataType::kFloat64, {}), 8);
  EXPECT_EQ(ByteCount(DataType::kFloat32, {kMax}), std::nullopt);
}

TEST(Shape, RowsOfBitsArePaddedToBytes) {
  EXPECT_EQ(ByteCount(DataType::kBit, {}), 1);
  EXPECT_EQ(ByteCount(DataType::kBit, {8}), 1);
  EXPECT_EQ(ByteCount(DataType::kBit, {3, 9}), 6);
  EXPECT_EQ(ByteCount(DataType::kBit, {2, 3, 1}), 6);
  EXPECT_EQ(ByteCount(DataType::kBit, {kMax}), (kMax - 7) / 8 + 1);
}

TEST(DataType, NamesAreThoseOfRequests) {
  EXPECT_EQ(DataTypeName(DataType::kBool), "BOOL");
  EXPECT_EQ(DataTypeName(DataType::kBit), "BIT");
  EXPECT_EQ(DataTypeName(DataType::kFloat64), "FLOAT64");
}

}  // namespace
}  // namespace spikeserve

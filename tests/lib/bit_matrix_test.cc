#include "spikeserve/compute/bit_matrix.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"

namespace spikeserve {
namespace {

constexpr int kColumns[] = {0, 1, 7, 8, 9, 63, 64, 65, 127, 511, 512, 513, 1023, 1024, 1025, 2100};

// Equal to the 0/1 matrix, and padded with zeros.
void ExpectHolds(const BitMatrix& bits, const RowMatrix<uint8_t>& expected) {
  ASSERT_EQ(bits.rows(), expected.rows());
  ASSERT_EQ(bits.cols(), expected.cols());
  EXPECT_EQ(bits.row_bytes(), (expected.cols() + 511) / 512 * 64);
  const BitMatrixView view = bits;
  for (int64_t r = 0; r < bits.rows(); ++r) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bits.row(r)) % BitMatrix::kAlignment, 0);
    int ones = 0;
    for (int64_t byte = 0; byte < bits.row_bytes(); ++byte) ones += __builtin_popcount(bits.row(r)[byte]);
    EXPECT_EQ(ones, expected.row(r).cast<int>().sum());
    for (int64_t c = 0; c < bits.cols(); ++c) ASSERT_EQ(view(r, c), expected(r, c) != 0) << r << ", " << c;
  }
}

template <typename Scalar>
void ExpectPacks(const RowMatrix<uint8_t>& elements) {
  RowMatrix<Scalar> apart(elements.rows(), elements.cols() + 3);
  apart.setConstant(Scalar{7});
  apart.leftCols(elements.cols()) = elements.cast<Scalar>();
  testing::SplitExecutor split;
  const std::optional<BitMatrix> bits = BitMatrix::Pack<Scalar>(apart.leftCols(elements.cols()));
  ASSERT_TRUE(bits);
  ExpectHolds(*bits, elements);
  const std::optional<BitMatrix> in_parts = BitMatrix::Pack<Scalar>(apart.leftCols(elements.cols()), split);
  ASSERT_TRUE(in_parts);
  ExpectHolds(*in_parts, elements);
}

template <typename Scalar>
void ExpectRefuses(Scalar value) {
  for (const int cols : {1, 8, 63, 64, 65, 1024, 1100, 2100}) {
    RowMatrix<Scalar> x = testing::RandomSpikes(3, cols, 0.5, cols).template cast<Scalar>();
    EXPECT_TRUE(BitMatrix::Pack<Scalar>(x));
    for (const int c : {0, cols / 2, cols - 1}) {
      const Scalar before = x(2, c);
      x(2, c) = value;
      EXPECT_FALSE(BitMatrix::Pack<Scalar>(x)) << +value << " in column " << c << " of " << cols;
      x(2, c) = before;
    }
  }
}

TEST(BitMatrix, PacksElementsOfAnyTypeAndShapeOnEveryTarget) {
  testing::ForEachTarget([] {
    uint32_t seed = 0;
    for (const int rows : {0, 1, 3}) {
      for (const int cols : kColumns) {
        SCOPED_TRACE(absl::StrCat(rows, " x ", cols));
        const RowMatrix<uint8_t> elements = testing::RandomSpikes(rows, cols, 0.4, ++seed).cast<uint8_t>();
        ExpectPacks<uint8_t>(elements);
        ExpectPacks<float>(elements);
        ExpectPacks<double>(elements);
      }
    }
  });
}

TEST(BitMatrix, RefusesElementsOtherThanZeroAndOneOnEveryTarget) {
  testing::ForEachTarget([] {
    for (const int value : {2, 3, 128, 255}) ExpectRefuses<uint8_t>(static_cast<uint8_t>(value));
    for (const double value : {-1.0, 2.0, 0.5, 1 + 1e-7, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
      ExpectRefuses<float>(static_cast<float>(value));
      ExpectRefuses<double>(value);
    }
    ExpectRefuses<float>(std::numeric_limits<float>::denorm_min());
    ExpectRefuses<double>(std::numeric_limits<double>::denorm_min());
    ExpectRefuses<double>(1 + 1e-15);
  });
}

TEST(BitMatrix, TakesNegativeZeroForZeroOnEveryTarget) {
  testing::ForEachTarget([] {
    const RowMatrix<float> x = RowMatrix<float>::Constant(2, 130, -0.0f);
    const std::optional<BitMatrix> bits = BitMatrix::Pack<float>(x);
    ASSERT_TRUE(bits);
    ExpectHolds(*bits, RowMatrix<uint8_t>::Zero(2, 130));
    const RowMatrix<double> x2 = x.cast<double>();
    EXPECT_TRUE(BitMatrix::Pack<double>(x2));
  });
}

TEST(BitMatrix, CopiesViewsOfAnyAlignmentWithoutTheirPadding) {
  for (const int cols : kColumns) {
    const RowMatrix<uint8_t> elements = testing::RandomSpikes(3, cols, 0.5, cols).cast<uint8_t>();
    const int64_t row_bytes = (cols + 7) / 8 + 2;
    std::vector<uint8_t> memory(1 + 3 * row_bytes, 0xff);
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < cols; ++c) {
        if (elements(r, c) == 0) memory[1 + r * row_bytes + c / 8] &= static_cast<uint8_t>(~(1 << (c % 8)));
      }
    }
    ExpectHolds(BitMatrix(BitMatrixView(memory.data() + 1, 3, cols, row_bytes)), elements);
  }
}

TEST(BitMatrix, IsZeroUntilSet) {
  BitMatrix bits(2, 70);
  ExpectHolds(bits, RowMatrix<uint8_t>::Zero(2, 70));
  bits.Set(1, 69);
  RowMatrix<uint8_t> expected = RowMatrix<uint8_t>::Zero(2, 70);
  expected(1, 69) = 1;
  ExpectHolds(bits, expected);
}

}  // namespace
}  // namespace spikeserve

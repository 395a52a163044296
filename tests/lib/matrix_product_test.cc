#include "matrix_product.h"

#include <cstdint>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"
#include "spikeserve/compute/stopping_executor.h"

namespace spikeserve {
namespace {

using testing::ForEachTarget;
using testing::RandomNormal;
using testing::RandomSpikes;
using testing::SplitExecutor;

// A product from its definition, in the order that is promised.
RowMatrix<float> Naive(const RowMatrix<float>& a, const RowMatrix<float>& b, ProductStart start, const float* row_start,
                       RowMatrix<float> c) {
  for (int64_t i = 0; i < a.rows(); ++i) {
    for (int64_t j = 0; j < b.cols(); ++j) {
      if (start == ProductStart::kOntoRow) c(i, j) = row_start == nullptr ? 0 : row_start[j];
      float run = 0;
      float& sum = start == ProductStart::kOntoRow ? c(i, j) : run;
      for (int64_t k = 0; k < a.cols(); ++k) {
        sum += a(i, k) * b(k, j);
        if (start == ProductStart::kOntoResult && (k + 1) % simd::kProductRun == 0) c(i, j) += std::exchange(run, 0.0f);
      }
      if (start == ProductStart::kOntoResult && a.cols() % simd::kProductRun != 0) c(i, j) += run;
    }
  }
  return c;
}

// Left operands from dense to silent: rows of them are computed in different ways.
RowMatrix<float> RandomLeft(int64_t rows, int64_t cols, double rate, uint32_t seed) {
  RowMatrix<float> left = RandomNormal<float>(rows, cols, seed);
  left.array() *= RandomSpikes(rows, cols, rate, seed + 1).array();
  return left;
}

TEST(MatrixProduct, IsItsDefinitionToTheBitOnEveryTargetAndExecutor) {
  std::mt19937 random(1);
  SplitExecutor split;
  const int64_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 67, 130};
  const int64_t depths[] = {0, 1, 5, 64, 255, 256, 257, 600};
  const auto pick = [&](const auto& from) { return from[random() % std::size(from)]; };
  ForEachTarget([&] {
    for (int round = 0; round < 60; ++round) {
      const int64_t rows = pick(sizes), columns = pick(sizes), depth = pick(depths);
      SCOPED_TRACE(::testing::Message() << rows << " x " << depth << " x " << columns);
      const double rates[] = {0, 0.1, 0.45, 0.55, 1};
      const RowMatrix<float> a = RandomLeft(rows, depth, pick(rates), random());
      const RowMatrix<float> a_transposed = a.transpose();
      const RowMatrix<float> b = RandomNormal<float>(depth, columns, random());
      const RowMatrix<float> bias = RandomNormal<float>(1, columns, random());
      const RowMatrix<float> before = RandomNormal<float>(rows, columns, random());
      for (const ProductStart start : {ProductStart::kOntoRow, ProductStart::kOntoResult}) {
        const float* row_start = start == ProductStart::kOntoRow && round % 2 == 0 ? bias.data() : nullptr;
        const RowMatrix<float> wanted = Naive(a, b, start, row_start, before);
        RowMatrix<float> got = before;
        ParallelMatrixProduct({a.data(), depth, 1}, {b.data(), columns}, rows, columns, depth, start, row_start,
                              got.data(), columns, split);
        EXPECT_EQ(got, wanted);
        got = before;
        ParallelMatrixProduct({a_transposed.data(), 1, rows}, {b.data(), columns}, rows, columns, depth, start,
                              row_start, got.data(), columns, InlineExecutor());
        EXPECT_EQ(got, wanted);
      }
    }
  });
}

// So that the question comes soon whether a product is still wanted.
TEST(MatrixProduct, OfManyTermsIsCutIntoSmallerTilesOfTheSameBits) {
  constexpr int64_t kRows = 32, kColumns = 128, kDepth = 1 << 16;
  // Each row is the one before it, but for an element at either end.
  const RowMatrix<float> a = RandomNormal<float>(1, kDepth + kRows, 1),
                         b = RandomNormal<float>(1, kDepth + kColumns, 2);
  int64_t asked = 0;
  const auto wanted = [&] {
    ++asked;
    return absl::OkStatus();
  };
  StoppingExecutor executor(InlineExecutor(), wanted);
  RowMatrix<float> whole(kRows, kColumns), cut(kRows, kColumns);
  simd::MatrixProduct({a.data(), 1, 1}, {b.data(), 1}, kRows, kColumns, kDepth, ProductStart::kOntoRow, nullptr,
                      whole.data(), kColumns);
  ParallelMatrixProduct({a.data(), 1, 1}, {b.data(), 1}, kRows, kColumns, kDepth, ProductStart::kOntoRow, nullptr,
                        cut.data(), kColumns, executor);
  EXPECT_EQ(cut, whole);
  EXPECT_GE(asked, kRows * kColumns * kDepth >> 27);
}

TEST(MatrixProduct, WritesNothingBesideItsResult) {
  const RowMatrix<float> a = RandomNormal<float>(9, 20, 1), b = RandomNormal<float>(20, 40, 2);
  ForEachTarget([&] {
    RowMatrix<float> c = RowMatrix<float>::Constant(11, 50, 7.0f);
    ParallelMatrixProduct({a.data(), 20, 1}, {b.data(), 40}, 9, 37, 20, ProductStart::kOntoRow, nullptr, &c(1, 5), 50,
                          InlineExecutor());
    c.block(1, 5, 9, 37).setConstant(7.0f);
    EXPECT_TRUE((c.array() == 7.0f).all());
  });
}

}  // namespace
}  // namespace spikeserve

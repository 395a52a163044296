#include "spikeserve/compute/kernel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"
#include "spikeserve/compute/bit_matrix.h"

namespace spikeserve {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
const Kernel kKernels[] = {LinearKernel{}, PolynomialKernel{2}, PolynomialKernel{3}, SigmoidKernel{0.1},
                           GaussianKernel{3}};

template <typename Scalar>
RowMatrix<Scalar> Compute(const RowMatrix<Scalar>& x, const RowMatrix<Scalar>& y, const Kernel& kernel,
                          Executor& executor = InlineExecutor()) {
  RowMatrix<Scalar> ret = RowMatrix<Scalar>::Constant(x.rows(), y.rows(), -7);
  const absl::Status status = KernelDotProduct<Scalar>(x, y, kernel, ret, executor);
  EXPECT_TRUE(status.ok()) << status;
  return ret;
}

template <typename Scalar>
RowMatrix<double> Naive(const RowMatrix<Scalar>& x, const RowMatrix<Scalar>& y, const Kernel& kernel) {
  return RowMatrix<double>::NullaryExpr(x.rows(), y.rows(), [&](Eigen::Index i, Eigen::Index j) {
    return testing::NaiveKernel(kernel, x.row(i).template cast<double>(), y.row(j).template cast<double>());
  });
}

// Equal but for the rounding to Scalar and those of the double arithmetic, in which products cancel.
template <typename Scalar>
void ExpectRounded(const RowMatrix<Scalar>& got, const RowMatrix<double>& exact) {
  const double relative = std::max<double>(std::numeric_limits<Scalar>::epsilon(), 1e-12);
  const double absolute =
      exact.size() == 0 ? 0 : 1e-13 * exact.cwiseAbs().maxCoeff() + std::numeric_limits<Scalar>::denorm_min();
  for (Eigen::Index i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got.data()[i], exact.data()[i], relative * std::abs(exact.data()[i]) + absolute);
  }
}

// What a library computes that has nothing but floats.
RowMatrix<float> InFloats(const RowMatrix<float>& x, const RowMatrix<float>& y, const Kernel& kernel) {
  RowMatrix<float> product = x * y.transpose();
  if (const auto* polynomial = std::get_if<PolynomialKernel>(&kernel)) {
    return product.array().pow(static_cast<float>(polynomial->d));
  }
  if (const auto* sigmoid = std::get_if<SigmoidKernel>(&kernel)) {
    return 1 / (1 + (static_cast<float>(-sigmoid->alpha) * product.array()).exp());
  }
  if (const auto* gaussian = std::get_if<GaussianKernel>(&kernel)) {
    const Eigen::VectorXf x_norms = x.rowwise().squaredNorm();
    const Eigen::VectorXf y_norms = y.rowwise().squaredNorm();
    product = (-2 * product).colwise() + x_norms;
    product.rowwise() += y_norms.transpose();
    return (product.array() / static_cast<float>(-2 * gaussian->sigma * gaussian->sigma)).exp();
  }
  return product;
}

// The tolerance for floats, of whole matrices: the largest error is no larger than twice that of `in_floats`, or 1e-6
// relative.
void ExpectAsAccurateAsFloats(const RowMatrix<float>& got, const RowMatrix<float>& in_floats,
                              const RowMatrix<double>& exact) {
  const double error = (got.cast<double>() - exact).cwiseAbs().maxCoeff();
  const double usual = (in_floats.cast<double>() - exact).cwiseAbs().maxCoeff();
  EXPECT_LE(error, std::max(2 * usual, 1e-6 * exact.cwiseAbs().maxCoeff()));
}

TEST(KernelDotProduct, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("kernel_dot_product")) {
    SCOPED_TRACE(golden.name);
    const Kernel kernel = testing::KernelOf(golden);
    const RowMatrix<float> x = golden.inputs.at("x").matrix<float>();
    const RowMatrix<float> y = golden.inputs.at("y").matrix<float>();
    const RowMatrix<float> expected = golden.outputs.at("ret").matrix<float>();
    const RowMatrix<float> ret = Compute<float>(x, y, kernel);
    const RowMatrix<double> exact = Naive<float>(x, y, kernel);
    for (Eigen::Index i = 0; i < ret.size(); ++i) {
      EXPECT_TRUE(testing::IsWithinTolerance(ret.data()[i], expected.data()[i], exact.data()[i]));
    }
  }
}

TEST(KernelDotProduct, IsThatOfTheDefinitionForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  const int depths[] = {0, 1, 3, 31, 65, 511, 1025};
  uint32_t seed = 0;
  for (const int rows : testing::kSizes) {
    for (const int cols : {0, 1, 7, 64, 65, 130}) {
      const int depth = depths[seed % std::size(depths)];
      SCOPED_TRACE(absl::StrCat("N = ", rows, ", K = ", cols, ", M = ", depth));
      const Kernel& kernel = kKernels[seed % std::size(kKernels)];
      const auto x = testing::RandomNormal<float>(rows, depth, ++seed);
      const auto y = testing::RandomNormal<float>(cols, depth, ++seed);
      const RowMatrix<float> ret = Compute<float>(x, y, kernel);
      const RowMatrix<float> self = Compute<float>(x, x, kernel);
      // Few products are summed in double.
      if (rows * cols * depth <= 1 << 20) {
        ExpectRounded<float>(ret, Naive<float>(x, y, kernel));
      } else {
        ExpectAsAccurateAsFloats(ret, InFloats(x, y, kernel), Naive<float>(x, y, kernel));
      }
      if (rows * rows * depth <= 1 << 20) {
        ExpectRounded<float>(self, Naive<float>(x, x, kernel));
      } else {
        ExpectAsAccurateAsFloats(self, InFloats(x, x, kernel), Naive<float>(x, x, kernel));
      }
      EXPECT_EQ(Compute<float>(x, y, kernel, split), ret);
      EXPECT_EQ(Compute<float>(x, x, kernel, split), self);
      const RowMatrix<double> x2 = x.cast<double>();
      const RowMatrix<double> y2 = y.cast<double>();
      ExpectRounded<double>(Compute<double>(x2, y2, kernel), Naive<double>(x2, y2, kernel));
    }
  }
}

TEST(KernelDotProduct, OfPositiveFloatsIsAccurateInEveryElement) {
  const RowMatrix<float> x = testing::RandomNormal<float>(70, 5000, 1).cwiseAbs();
  const RowMatrix<float> y = testing::RandomNormal<float>(65, 5000, 2).cwiseAbs();
  for (const Kernel& kernel : {Kernel(LinearKernel{}), Kernel(SigmoidKernel{1e-4}), Kernel(GaussianKernel{30})}) {
    const RowMatrix<double> exact = Naive<float>(x, y, kernel);
    const RowMatrix<double> error = Compute<float>(x, y, kernel).cast<double>() - exact;
    EXPECT_LE((error.array() / exact.array()).abs().maxCoeff(), 1e-6);
  }
}

TEST(KernelDotProduct, OfFewLongRowsIsAsAccurate) {
  for (const Kernel& kernel : {Kernel(LinearKernel{}), Kernel(GaussianKernel{150})}) {
    const RowMatrix<float> x = testing::RandomNormal<float>(7, 40000, 3);
    const RowMatrix<float> y = testing::RandomNormal<float>(5, 40000, 4);
    ExpectAsAccurateAsFloats(Compute<float>(x, y, kernel), InFloats(x, y, kernel), Naive<float>(x, y, kernel));
    const RowMatrix<float> row = x.topRows(1);
    ExpectRounded<float>(Compute<float>(row, row, kernel), Naive<float>(row, row, kernel));
    const RowMatrix<double> x2 = x.cast<double>();
    const RowMatrix<double> y2 = y.cast<double>();
    ExpectRounded<double>(Compute<double>(x2, y2, kernel), Naive<double>(x2, y2, kernel));
  }
}

TEST(KernelDotProduct, AProductDependsOnItsTwoRowsOnly) {
  const RowMatrix<float> x = testing::RandomNormal<float>(110, 600, 5);
  const RowMatrix<float> y = testing::RandomNormal<float>(95, 600, 6);
  for (const Kernel& kernel : {Kernel(LinearKernel{}), Kernel(SigmoidKernel{0.1}), Kernel(PolynomialKernel{3})}) {
    const RowMatrix<float> all = Compute<float>(x, y, kernel);
    const RowMatrix<float> some = Compute<float>(x.middleRows(11, 77), y.middleRows(3, 64), kernel);
    EXPECT_EQ(some, all.block(11, 3, 77, 64));
    EXPECT_EQ(Compute<float>(y, x, kernel), all.transpose());
  }
}

TEST(KernelDotProduct, OnEveryTargetIsAsAccurate) {
  const RowMatrix<float> x = testing::RandomNormal<float>(67, 600, 7);
  const RowMatrix<float> y = testing::RandomNormal<float>(59, 600, 8);
  const RowMatrix<double> x2 = x.cast<double>();
  const RowMatrix<double> y2 = y.cast<double>();
  for (const Kernel& kernel : kKernels) {
    const RowMatrix<double> exact = Naive<float>(x, y, kernel);
    testing::ForEachTarget([&] {
      ExpectAsAccurateAsFloats(Compute<float>(x, y, kernel), InFloats(x, y, kernel), exact);
      ExpectRounded<double>(Compute<double>(x2, y2, kernel), exact);
      ExpectRounded<double>(Compute<double>(x2, x2, kernel), Naive<double>(x2, x2, kernel));
    });
  }
}

TEST(KernelDotProduct, OfSpikesIsExact) {
  const RowMatrix<float> x = testing::RandomSpikes(70, 5000, 0.3, 1);
  const RowMatrix<float> y = testing::RandomSpikes(65, 5000, 0.6, 2);
  EXPECT_EQ(Compute<float>(x, y, LinearKernel{}), (Naive<float>(x, y, LinearKernel{}).cast<float>()));
  EXPECT_EQ(Compute<float>(x, x, PolynomialKernel{2}), (Naive<float>(x, x, PolynomialKernel{2}).cast<float>()));
}

TEST(KernelDotProduct, OfSpikesAndFloatsIsAsAccurateAndTheSameOnEveryTarget) {
  testing::SplitExecutor split;
  for (const int depth : {37, 300, 1300}) {
    const RowMatrix<float> x = testing::RandomSpikes(2049 + 70, depth, 0.3, depth);
    const RowMatrix<float> y = testing::RandomNormal<float>(19, depth, depth);
    for (const Kernel& kernel : kKernels) {
      const RowMatrix<double> exact = Naive<float>(x, y, kernel);
      const RowMatrix<float> in_floats = InFloats(x, y, kernel);
      const RowMatrix<float> ret = Compute<float>(x, y, kernel, split);
      ExpectAsAccurateAsFloats(ret, in_floats, exact);
      ExpectRounded<double>(Compute<double>(x.cast<double>(), y.cast<double>(), kernel), exact);
      testing::ForEachTarget([&] {
        EXPECT_EQ(Compute<float>(x, y, kernel), ret);
        EXPECT_EQ(Compute<float>(y, x, kernel), ret.transpose());
      });
    }
  }
}

TEST(KernelDotProduct, AGaussianOfSpikesAndCloseFloatsIsAccurate) {
  const RowMatrix<float> x = testing::RandomSpikes(100, 800, 0.3, 1);
  const RowMatrix<float> y = x.topRows(50) + testing::RandomNormal<float>(50, 800, 2) * 1e-3f;
  const RowMatrix<double> exact = Naive<float>(x, y, GaussianKernel{0.02});
  const RowMatrix<float> got = Compute<float>(x, y, GaussianKernel{0.02});
  for (int i = 0; i < 50; ++i) EXPECT_NEAR(got(i, i), exact(i, i), 1e-6 * exact(i, i));
}

template <typename Scalar>
RowMatrix<Scalar> ComputeBits(const BitMatrixView& x, const BitMatrixView& y, const Kernel& kernel,
                              Executor& executor = InlineExecutor()) {
  RowMatrix<Scalar> ret = RowMatrix<Scalar>::Constant(x.rows(), y.rows(), -7);
  const absl::Status status = KernelDotProduct<Scalar>(x, y, kernel, ret, executor);
  EXPECT_TRUE(status.ok()) << status;
  return ret;
}

TEST(KernelDotProduct, OfBitsIsThatOfTheDefinitionForAnyShapeThreadsAndTarget) {
  testing::SplitExecutor split;
  const int depths[] = {0, 1, 7, 63, 64, 65, 513, 1025, 3000};
  uint32_t seed = 0;
  for (const int rows : {0, 1, 2, 7, 8, 9, 23, 24, 25, 49, 97, 200}) {
    for (const int cols : {0, 1, 8, 17, 50, 130}) {
      const int depth = depths[seed % std::size(depths)];
      const Kernel& kernel = kKernels[seed % std::size(kKernels)];
      SCOPED_TRACE(absl::StrCat("N = ", rows, ", K = ", cols, ", M = ", depth, ", kernel ", kernel.index()));
      const RowMatrix<float> x = testing::RandomSpikes(rows, depth, 0.3, ++seed);
      const RowMatrix<float> y = testing::RandomSpikes(cols, depth, 0.5, ++seed);
      const BitMatrix x_bits = *BitMatrix::Pack<float>(x);
      const BitMatrix y_bits = *BitMatrix::Pack<float>(y);
      const RowMatrix<double> exact = Naive<float>(x, y, kernel);
      const RowMatrix<double> exact_self = Naive<float>(x, x, kernel);
      std::optional<RowMatrix<double>> ret;
      std::optional<RowMatrix<double>> self;
      testing::ForEachTarget([&] {
        if (!ret) ret = ComputeBits<double>(x_bits, y_bits, kernel);
        if (!self) self = ComputeBits<double>(x_bits, x_bits, kernel);
        EXPECT_EQ(ComputeBits<double>(x_bits, y_bits, kernel), *ret);
        EXPECT_EQ(ComputeBits<double>(x_bits, x_bits, kernel), *self);
        EXPECT_EQ(ComputeBits<float>(x_bits, y_bits, kernel), ret->cast<float>());
        EXPECT_EQ(ComputeBits<float>(x_bits, x_bits, kernel), self->cast<float>());
      });
      ExpectRounded<double>(*ret, exact);
      ExpectRounded<double>(*self, exact_self);
      EXPECT_EQ(ComputeBits<double>(x_bits, y_bits, kernel, split), *ret);
      EXPECT_EQ(ComputeBits<double>(x_bits, x_bits, kernel, split), *self);
      const BitMatrix copy{BitMatrixView(x_bits)};
      EXPECT_EQ(ComputeBits<double>(x_bits, copy, kernel), *self);
      // Floats that are 0 or 1 take the same way.
      EXPECT_EQ(Compute<float>(x, y, kernel), ret->cast<float>());
      EXPECT_EQ(Compute<float>(x, x, kernel, split), self->cast<float>());
    }
  }
}

TEST(KernelDotProduct, OfBitsCountsEveryBitOfLongRows) {
  testing::ForEachTarget([] {
    for (const int depth : {15871, 15872, 16000, 1100000}) {
      BitMatrix ones(3, depth);
      for (int c = 0; c < depth; ++c) {
        for (int r = 0; r < 3; ++r) ones.Set(r, c);
      }
      EXPECT_EQ(ComputeBits<double>(ones, ones, LinearKernel{}), (RowMatrix<double>::Constant(3, 3, depth)));
    }
    BitMatrix ones(20, 16000);
    for (int c = 0; c < 16000; ++c) {
      for (int r = 0; r < 20; ++r) ones.Set(r, c);
    }
    EXPECT_EQ(ComputeBits<float>(ones, ones, LinearKernel{}), (RowMatrix<float>::Constant(20, 20, 16000)));
  });
}

TEST(KernelDotProduct, TakesViewsOfBitsOfAnyAlignmentAndPadding) {
  for (const int depth : {1, 13, 64, 500, 1027}) {
    const BitMatrix x = *BitMatrix::Pack<float>(testing::RandomSpikes(9, depth, 0.4, depth));
    const int64_t bytes = (depth + 7) / 8;
    const int64_t row_bytes = bytes + 3;
    std::vector<uint8_t> memory(1 + 9 * row_bytes, 0xff);
    for (int r = 0; r < 9; ++r) {
      std::copy_n(x.row(r), bytes, memory.begin() + 1 + r * row_bytes);
      // Garbage beyond the last column.
      if (depth % 8 != 0) memory[1 + r * row_bytes + bytes - 1] |= static_cast<uint8_t>(0xff << (depth % 8));
    }
    const BitMatrixView view(memory.data() + 1, 9, depth, row_bytes);
    for (const Kernel& kernel : kKernels) {
      const RowMatrix<float> expected = ComputeBits<float>(x, x, kernel);
      EXPECT_EQ(ComputeBits<float>(view, view, kernel), expected);
      EXPECT_EQ(ComputeBits<float>(view, x, kernel), expected);
    }
  }
}

TEST(KernelDotProduct, OfBitsIsTheSameWhetherLookedUpOrNot) {
  const BitMatrix x = *BitMatrix::Pack<float>(testing::RandomSpikes(90, 700, 0.4, 1));
  for (const Kernel& kernel : kKernels) {
    // 8100 pairs have at most 1400 values; 6 pairs may all be different.
    const RowMatrix<float> all = ComputeBits<float>(x, x, kernel);
    const BitMatrixView some(x.row(5), 2, 700, x.row_bytes());
    const BitMatrixView others(x.row(40), 3, 700, x.row_bytes());
    EXPECT_EQ(ComputeBits<float>(some, others, kernel), all.block(5, 40, 2, 3));
  }
}

TEST(KernelDotProduct, OfBitsRefusesShapesThatDoNotFit) {
  const BitMatrix x(2, 3);
  const BitMatrix y(2, 4);
  RowMatrix<float> ret(2, 2);
  testing::Refusal(KernelDotProduct<float>(x, y, LinearKernel{}, ret), "y");
  testing::Refusal(KernelDotProduct<float>(x, x, LinearKernel{}, ret.leftCols(1)), "ret");
  testing::Refusal(KernelDotProduct<float>(x, x, GaussianKernel{0}, ret), "kernel.gaussian.sigma");
  // Nothing is read of so long a row.
  const BitMatrixView long_row(nullptr, 1, int64_t{1} << 31);
  testing::Refusal(KernelDotProduct<float>(long_row, long_row, LinearKernel{}, ret.topLeftCorner(1, 1)), "x");
}

TEST(KernelDotProduct, AGaussianOfARowWithItselfIsOne) {
  RowMatrix<double> x = testing::RandomNormal<double>(130, 77, 3).array() * 1e3 + 1e6;
  EXPECT_EQ(Compute<double>(x, x, GaussianKernel{1e-3}).diagonal(), Eigen::VectorXd::Ones(130));
  const RowMatrix<double> copy = x;
  EXPECT_EQ(Compute<double>(x, copy, GaussianKernel{1e-200}).diagonal(), Eigen::VectorXd::Ones(130));
}

TEST(KernelDotProduct, AGaussianOfCloseRowsFarFromTheOriginIsAccurate) {
  const RowMatrix<double> offsets = testing::RandomNormal<double>(20, 50, 4);
  const RowMatrix<double> x = offsets.array() + 1e7;
  const RowMatrix<double> exact = Naive<double>(x, x, GaussianKernel{5});
  EXPECT_LE((Compute<double>(x, x, GaussianKernel{5}) - exact).cwiseAbs().maxCoeff(), 1e-12);
}

TEST(KernelDotProduct, ExponentialsAreAccurateFromOneToZeroAndTheSameOnEveryTarget) {
  // Integers, whose products and distances are exact.
  const RowMatrix<double> x =
      RowMatrix<double>::NullaryExpr(2001, 1, [](Eigen::Index i) { return static_cast<double>(i); });
  const RowMatrix<double> zero = RowMatrix<double>::Zero(1, 1);
  for (const double scale : {-1.0, -0.4, -1e-3, 1e-3, 0.4}) {
    const RowMatrix<double> alpha = RowMatrix<double>::Constant(1, 1, scale < 0 ? -1 : 1);
    std::optional<RowMatrix<double>> gaussian;
    std::optional<RowMatrix<double>> sigmoid;
    testing::ForEachTarget([&] {
      const auto gaussian_here = Compute<double>(x, zero, GaussianKernel{1 / std::sqrt(std::abs(scale))});
      const auto sigmoid_here = Compute<double>(x, alpha, SigmoidKernel{std::abs(scale)});
      if (!gaussian) gaussian = gaussian_here;
      if (!sigmoid) sigmoid = sigmoid_here;
      EXPECT_EQ(gaussian_here, *gaussian);
      EXPECT_EQ(sigmoid_here, *sigmoid);
    });
    const RowMatrix<double> exact_gaussian = Naive<double>(x, zero, GaussianKernel{1 / std::sqrt(std::abs(scale))});
    const RowMatrix<double> exact_sigmoid = Naive<double>(x, alpha, SigmoidKernel{std::abs(scale)});
    for (int i = 0; i < 2001; ++i) {
      // Of the smallest doubles one rounding is large.
      constexpr double kSmallest = std::numeric_limits<double>::denorm_min();
      EXPECT_NEAR((*gaussian)(i, 0), exact_gaussian(i, 0), 1e-12 * exact_gaussian(i, 0) + kSmallest) << i;
      EXPECT_NEAR((*sigmoid)(i, 0), exact_sigmoid(i, 0), 1e-12 * exact_sigmoid(i, 0) + kSmallest) << i;
    }
  }
}

TEST(KernelDotProduct, TakesInfinities) {
  RowMatrix<float> x(2, 2);
  x << kInf, 0, 1, 2;
  const RowMatrix<float> y = x.bottomRows(1);
  EXPECT_EQ(Compute<float>(x, y, LinearKernel{})(0, 0), kInf);
  EXPECT_EQ(Compute<float>(x, y, SigmoidKernel{-1})(0, 0), 0);
  EXPECT_EQ(Compute<float>(x, y, GaussianKernel{1})(0, 0), 0);
}

TEST(KernelDotProduct, OfManyFloatsKeepsWhatIsNotFiniteInItsRows) {
  RowMatrix<float> x = testing::RandomNormal<float>(130, 90, 7);
  for (const Kernel& kernel : kKernels) {
    const RowMatrix<float> before = Compute<float>(x, x, kernel);
    RowMatrix<float> bad = x;
    bad(20, 3) = NAN;
    bad(121, 80) = static_cast<float>(kInf);
    const RowMatrix<float> after = Compute<float>(bad, bad, kernel);
    const RowMatrix<double> exact = Naive<float>(bad, bad, kernel);
    for (int i = 0; i < 130; ++i) {
      for (int j = 0; j < 130; ++j) {
        if (i == 20 || j == 20) {
          EXPECT_TRUE(std::isnan(after(i, j)) || after(i, j) == exact(i, j)) << i << ", " << j;
        } else if (i == 121 || j == 121) {
          const bool both_nan = std::isnan(after(i, j)) && std::isnan(exact(i, j));
          EXPECT_TRUE(both_nan || after(i, j) == static_cast<float>(exact(i, j))) << i << ", " << j;
        } else {
          EXPECT_NEAR(after(i, j), before(i, j), 1e-5 * (1 + std::abs(before(i, j)))) << i << ", " << j;
        }
      }
    }
  }
}

TEST(KernelDotProduct, AGaussianOfCloseFloatsIsAccurate) {
  // Pairs of rows that are almost the same, far from others.
  RowMatrix<float> x = testing::RandomNormal<float>(140, 100, 9) * 10;
  x.bottomRows(70) = x.topRows(70) + testing::RandomNormal<float>(70, 100, 10) * 0.01f;
  const RowMatrix<double> exact = Naive<float>(x, x, GaussianKernel{0.1});
  const RowMatrix<float> got = Compute<float>(x, x, GaussianKernel{0.1});
  EXPECT_EQ(got.diagonal(), Eigen::VectorXf::Ones(140));
  for (int i = 0; i < 70; ++i) EXPECT_NEAR(got(i, i + 70), exact(i, i + 70), 1e-6 * exact(i, i + 70));
}

TEST(KernelDotProduct, RowsMayBeApart) {
  const RowMatrix<float> x = testing::RandomNormal<float>(9, 20, 5);
  const RowMatrix<float> part = x.middleCols(3, 11);
  RowMatrix<float> ret = RowMatrix<float>::Zero(9, 12);
  ASSERT_TRUE(
      KernelDotProduct<float>(x.middleCols(3, 11), x.middleCols(3, 11), GaussianKernel{2}, ret.leftCols(9)).ok());
  EXPECT_EQ(ret.leftCols(9), Compute<float>(part, part, GaussianKernel{2}));
  EXPECT_EQ(ret.rightCols(3), (RowMatrix<float>::Zero(9, 3)));
}

TEST(KernelDotProduct, RefusesShapesThatDoNotFit) {
  const RowMatrix<float> x = RowMatrix<float>::Zero(2, 3);
  const RowMatrix<float> y = RowMatrix<float>::Zero(2, 4);
  RowMatrix<float> ret(2, 2);
  EXPECT_EQ(testing::Refusal(KernelDotProduct<float>(x, y, LinearKernel{}, ret), "y"),
            "y: [2, 4]; need 3 columns, as x has");
  testing::Refusal(KernelDotProduct<float>(x, x, LinearKernel{}, ret.leftCols(1)), "ret");
}

TEST(CheckKernel, RefusesParametersWithoutAMeaning) {
  for (const double bad : {static_cast<double>(NAN), kInf, -kInf}) {
    testing::Refusal(CheckKernel(PolynomialKernel{bad}), "kernel.polynomial.d");
    testing::Refusal(CheckKernel(SigmoidKernel{bad}), "kernel.sigmoid.alpha");
    testing::Refusal(CheckKernel(GaussianKernel{bad}), "kernel.gaussian.sigma");
  }
  EXPECT_EQ(testing::Refusal(CheckKernel(GaussianKernel{0}), "kernel.gaussian.sigma"),
            "kernel.gaussian.sigma: 0; need a finite number other than 0");
  for (const Kernel& kernel : kKernels) EXPECT_TRUE(CheckKernel(kernel).ok());
}

}  // namespace
}  // namespace spikeserve

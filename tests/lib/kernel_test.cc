#include "spikeserve/compute/kernel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"

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
      ExpectRounded<float>(ret, Naive<float>(x, y, kernel));
      EXPECT_EQ(Compute<float>(x, y, kernel, split), ret);
      const RowMatrix<double> x2 = x.cast<double>();
      const RowMatrix<double> y2 = y.cast<double>();
      ExpectRounded<double>(Compute<double>(x2, y2, kernel), Naive<double>(x2, y2, kernel));
      const RowMatrix<float> self = Compute<float>(x, x, kernel);
      ExpectRounded<float>(self, Naive<float>(x, x, kernel));
      EXPECT_EQ(Compute<float>(x, x, kernel, split), self);
    }
  }
}

TEST(KernelDotProduct, OfSpikesIsExact) {
  const RowMatrix<float> x = testing::RandomSpikes(70, 5000, 0.3, 1);
  const RowMatrix<float> y = testing::RandomSpikes(65, 5000, 0.6, 2);
  EXPECT_EQ(Compute<float>(x, y, LinearKernel{}), (Naive<float>(x, y, LinearKernel{}).cast<float>()));
  EXPECT_EQ(Compute<float>(x, x, PolynomialKernel{2}), (Naive<float>(x, x, PolynomialKernel{2}).cast<float>()));
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

TEST(KernelDotProduct, TakesInfinities) {
  RowMatrix<float> x(2, 2);
  x << kInf, 0, 1, 2;
  const RowMatrix<float> y = x.bottomRows(1);
  EXPECT_EQ(Compute<float>(x, y, LinearKernel{})(0, 0), kInf);
  EXPECT_EQ(Compute<float>(x, y, SigmoidKernel{-1})(0, 0), 0);
  EXPECT_EQ(Compute<float>(x, y, GaussianKernel{1})(0, 0), 0);
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

#include "spikeserve/compute/kernel_vjp.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/naive_kernel_vjp.h"
#include "lib/simd_targets.h"

namespace spikeserve {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
const Kernel kKernels[] = {LinearKernel{},      PolynomialKernel{2}, PolynomialKernel{3},
                           PolynomialKernel{4}, SigmoidKernel{0.1},  GaussianKernel{3}};

template <typename Scalar>
using Gradients = testing::KernelGradients<Scalar>;

template <typename Scalar>
Gradients<Scalar> Compute(const RowMatrix<Scalar>& x, const RowMatrix<Scalar>& y, const Kernel& kernel,
                          const RowMatrix<Scalar>& grad_output, Executor& executor = InlineExecutor()) {
  Gradients<Scalar> grad{RowMatrix<Scalar>::Constant(x.rows(), x.cols(), -7),
                         RowMatrix<Scalar>::Constant(y.rows(), y.cols(), -7)};
  const absl::Status status = KernelDotProductVjp<Scalar>(x, y, kernel, grad_output, grad.x, grad.y, executor);
  EXPECT_TRUE(status.ok()) << status;
  return grad;
}

// Of x with itself.
template <typename Scalar>
RowMatrix<Scalar> ComputeSelf(const RowMatrix<Scalar>& x, const Kernel& kernel, const RowMatrix<Scalar>& grad_output,
                              Executor& executor = InlineExecutor()) {
  RowMatrix<Scalar> grad = RowMatrix<Scalar>::Constant(x.rows(), x.cols(), -7);
  const absl::Status status = KernelDotProductVjp<Scalar>(x, kernel, grad_output, grad, executor);
  EXPECT_TRUE(status.ok()) << status;
  return grad;
}

// What a library computes that has nothing but floats.
Gradients<float> InFloats(const RowMatrix<float>& x, const RowMatrix<float>& y, const Kernel& kernel,
                          const RowMatrix<float>& grad_output) {
  const RowMatrix<float> products = x * y.transpose();
  RowMatrix<float> weights = grad_output;
  if (const auto* polynomial = std::get_if<PolynomialKernel>(&kernel)) {
    const auto d = static_cast<float>(polynomial->d);
    weights.array() *= d * products.array().pow(d - 1);
  } else if (const auto* sigmoid = std::get_if<SigmoidKernel>(&kernel)) {
    const auto alpha = static_cast<float>(sigmoid->alpha);
    const RowMatrix<float> k = 1 / (1 + (-alpha * products.array()).exp());
    weights.array() *= alpha * k.array() * (1 - k.array());
  } else if (const auto* gaussian = std::get_if<GaussianKernel>(&kernel)) {
    const auto variance = static_cast<float>(gaussian->sigma * gaussian->sigma);
    RowMatrix<float> distances = (-2 * products).colwise() + x.rowwise().squaredNorm();
    distances.rowwise() += y.rowwise().squaredNorm().transpose();
    weights.array() *= (distances.array() / (-2 * variance)).exp() / variance;
    const Eigen::VectorXf x_sums = weights.rowwise().sum();
    const Eigen::VectorXf y_sums = weights.colwise().sum();
    return {weights * y - x_sums.asDiagonal() * x, weights.transpose() * x - y_sums.asDiagonal() * y};
  }
  return {weights * y, weights.transpose() * x};
}

// Equal but for the rounding to Scalar and those of the double arithmetic, in which terms cancel.
template <typename Scalar>
void ExpectRounded(const RowMatrix<Scalar>& got, const RowMatrix<double>& exact) {
  const double relative = std::max<double>(std::numeric_limits<Scalar>::epsilon(), 1e-12);
  const double absolute =
      exact.size() == 0 ? 0 : 1e-12 * exact.cwiseAbs().maxCoeff() + std::numeric_limits<Scalar>::denorm_min();
  ASSERT_EQ(got.rows(), exact.rows());
  ASSERT_EQ(got.cols(), exact.cols());
  for (Eigen::Index i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got.data()[i], exact.data()[i], relative * std::abs(exact.data()[i]) + absolute) << "element " << i;
  }
}

// The tolerance for floats, of whole matrices: the largest error is no larger than twice that of `in_floats`, or 1e-6
// relative.
void ExpectAsAccurateAsFloats(const RowMatrix<float>& got, const RowMatrix<float>& in_floats,
                              const RowMatrix<double>& exact) {
  const double error = (got.cast<double>() - exact).cwiseAbs().maxCoeff();
  const double usual = (in_floats.cast<double>() - exact).cwiseAbs().maxCoeff();
  EXPECT_LE(error, std::max(2 * usual, 1e-6 * exact.cwiseAbs().maxCoeff()));
}

TEST(KernelDotProductVjp, AgreesWithTheReference) {
  int compared = 0;
  for (const testing::GoldenCase& golden : testing::GoldenCases("kernel_dot_product")) {
    if (!golden.outputs.contains("grad_x")) continue;
    SCOPED_TRACE(golden.name);
    const Kernel kernel = testing::KernelOf(golden);
    const RowMatrix<float> x = golden.inputs.at("x").matrix<float>();
    const RowMatrix<float> y = golden.inputs.at("y").matrix<float>();
    const RowMatrix<float> grad_output = golden.inputs.at("grad_output").matrix<float>();
    const Gradients<float> grad = Compute<float>(x, y, kernel, grad_output);
    const Gradients<double> exact = testing::NaiveKernelVjp<float>(x, y, kernel, grad_output);
    const auto expect = [&](const RowMatrix<float>& got, const char* name, const RowMatrix<double>& exact) {
      const RowMatrix<float> expected = golden.outputs.at(name).matrix<float>();
      for (Eigen::Index i = 0; i < got.size(); ++i) {
        EXPECT_TRUE(testing::IsWithinTolerance(got.data()[i], expected.data()[i], exact.data()[i])) << name << " " << i;
      }
      ++compared;
    };
    expect(grad.x, "grad_x", exact.x);
    expect(grad.y, "grad_y", exact.y);
  }
  EXPECT_EQ(compared, 56);
}

TEST(KernelDotProductVjp, IsThatOfTheDefinitionForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  const int depths[] = {0, 1, 3, 31, 65, 193, 257};
  uint32_t seed = 0;
  for (const int rows : testing::kSizes) {
    for (const int cols : {0, 1, 7, 64, 65, 97}) {
      const int depth = depths[seed % std::size(depths)];
      const Kernel& kernel = kKernels[seed % std::size(kKernels)];
      SCOPED_TRACE(absl::StrCat("N = ", rows, ", K = ", cols, ", M = ", depth, ", kernel ", kernel.index()));
      const auto x = testing::RandomNormal<float>(rows, depth, ++seed);
      const auto y = testing::RandomNormal<float>(cols, depth, ++seed);
      const auto grad_output = testing::RandomNormal<float>(rows, cols, ++seed);
      const Gradients<float> grad = Compute<float>(x, y, kernel, grad_output);
      const Gradients<double> exact = testing::NaiveKernelVjp<float>(x, y, kernel, grad_output);
      // Few products are summed in double.
      if (rows * cols * depth <= 1 << 20) {
        ExpectRounded<float>(grad.x, exact.x);
        ExpectRounded<float>(grad.y, exact.y);
      } else {
        const Gradients<float> in_floats = InFloats(x, y, kernel, grad_output);
        ExpectAsAccurateAsFloats(grad.x, in_floats.x, exact.x);
        ExpectAsAccurateAsFloats(grad.y, in_floats.y, exact.y);
      }
      EXPECT_EQ(Compute<float>(x, y, kernel, grad_output, split), grad);
      const Gradients<double> in_doubles =
          Compute<double>(x.cast<double>(), y.cast<double>(), kernel, grad_output.cast<double>(), split);
      ExpectRounded<double>(in_doubles.x, exact.x);
      ExpectRounded<double>(in_doubles.y, exact.y);
    }
  }
}

TEST(KernelDotProductVjp, WithoutYIsTheGradientOfBothPlacesForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  const int depths[] = {1, 65, 0, 257, 3};
  uint32_t seed = 0;
  for (const int rows : {0, 1, 2, 7, 13, 31, 64, 65, 127, 211}) {
    for (const Kernel& kernel : kKernels) {
      const int depth = depths[seed % std::size(depths)];
      SCOPED_TRACE(absl::StrCat("N = ", rows, ", M = ", depth, ", kernel ", kernel.index()));
      const auto x = testing::RandomNormal<float>(rows, depth, ++seed);
      const auto grad_output = testing::RandomNormal<float>(rows, rows, ++seed);
      const RowMatrix<float> grad = ComputeSelf<float>(x, kernel, grad_output);
      const Gradients<double> exact = testing::NaiveKernelVjp<float>(x, x, kernel, grad_output);
      if (rows * rows * depth <= 1 << 20) {
        ExpectRounded<float>(grad, exact.x + exact.y);
      } else {
        const Gradients<float> in_floats = InFloats(x, x, kernel, grad_output);
        ExpectAsAccurateAsFloats(grad, in_floats.x + in_floats.y, exact.x + exact.y);
      }
      EXPECT_EQ(ComputeSelf<float>(x, kernel, grad_output, split), grad);
      const RowMatrix<double> x2 = x.cast<double>();
      ExpectRounded<double>(ComputeSelf<double>(x2, kernel, grad_output.cast<double>(), split), exact.x + exact.y);
    }
  }
}

// The loss that has the gradient grad_output with respect to what `kernels` returns, and its central differences with
// respect to the elements of `at`.
template <class Kernels>
RowMatrix<double> Differences(RowMatrix<double>& at, const RowMatrix<double>& grad_output, const Kernels& kernels) {
  constexpr double kStep = 1e-5;
  return RowMatrix<double>::NullaryExpr(at.rows(), at.cols(), [&](Eigen::Index i, Eigen::Index k) {
    const double element = at(i, k);
    at(i, k) = element + kStep;
    const double above = (kernels().array() * grad_output.array()).sum();
    at(i, k) = element - kStep;
    const double below = (kernels().array() * grad_output.array()).sum();
    at(i, k) = element;
    return (above - below) / (2 * kStep);
  });
}

TEST(KernelDotProductVjp, IsTheDerivativeOfKernelDotProduct) {
  RowMatrix<double> x = testing::RandomNormal<double>(11, 9, 1);
  RowMatrix<double> y = testing::RandomNormal<double>(7, 9, 2);
  const RowMatrix<double> grad_output = testing::RandomNormal<double>(11, 7, 3);
  const RowMatrix<double> grad_self = testing::RandomNormal<double>(11, 11, 4);
  for (const Kernel& kernel : kKernels) {
    SCOPED_TRACE(absl::StrCat("kernel ", kernel.index()));
    const auto kernels = [&kernel](const RowMatrix<double>& a, const RowMatrix<double>& b) {
      RowMatrix<double> ret(a.rows(), b.rows());
      EXPECT_TRUE(KernelDotProduct<double>(a, b, kernel, ret).ok());
      return ret;
    };
    const Gradients<double> grad = Compute<double>(x, y, kernel, grad_output);
    const RowMatrix<double> self = ComputeSelf<double>(x, kernel, grad_self);
    const auto expect = [](const RowMatrix<double>& got, const RowMatrix<double>& differences) {
      EXPECT_LE((got - differences).cwiseAbs().maxCoeff(), 1e-8 * differences.cwiseAbs().maxCoeff());
    };
    expect(grad.x, Differences(x, grad_output, [&] { return kernels(x, y); }));
    expect(grad.y, Differences(y, grad_output, [&] { return kernels(x, y); }));
    expect(self, Differences(x, grad_self, [&] { return kernels(x, x); }));
  }
}

TEST(KernelDotProductVjp, OfManyFloatsIsAsAccurateAsFloatsOnEveryTarget) {
  const RowMatrix<float> x = testing::RandomNormal<float>(211, 331, 1) * 0.3f;
  const RowMatrix<float> y = testing::RandomNormal<float>(197, 331, 2) * 0.3f;
  const RowMatrix<float> spikes = testing::RandomSpikes(211, 331, 0.2, 3);
  const RowMatrix<float> grad_output = testing::RandomNormal<float>(211, 197, 4);
  for (const Kernel& kernel : kKernels) {
    SCOPED_TRACE(absl::StrCat("kernel ", kernel.index()));
    for (const RowMatrix<float>& left : {x, spikes}) {
      const Gradients<double> exact = testing::NaiveKernelVjp<float>(left, y, kernel, grad_output);
      const Gradients<float> in_floats = InFloats(left, y, kernel, grad_output);
      testing::ForEachTarget([&] {
        const Gradients<float> grad = Compute<float>(left, y, kernel, grad_output);
        ExpectAsAccurateAsFloats(grad.x, in_floats.x, exact.x);
        ExpectAsAccurateAsFloats(grad.y, in_floats.y, exact.y);
      });
    }
  }
}

TEST(KernelDotProductVjp, OfAGaussianFarFromTheOriginIsAccurate) {
  const RowMatrix<double> x = testing::RandomNormal<double>(130, 50, 5).array() + 1e6;
  const RowMatrix<double> y = testing::RandomNormal<double>(67, 50, 6).array() + 1e6;
  const RowMatrix<double> grad_output = testing::RandomNormal<double>(130, 67, 7);
  const Gradients<double> exact = testing::NaiveKernelVjp<double>(x, y, GaussianKernel{5}, grad_output);
  const Gradients<double> grad = Compute<double>(x, y, GaussianKernel{5}, grad_output);
  EXPECT_LE((grad.x - exact.x).cwiseAbs().maxCoeff(), 1e-9 * exact.x.cwiseAbs().maxCoeff());
  EXPECT_LE((grad.y - exact.y).cwiseAbs().maxCoeff(), 1e-9 * exact.y.cwiseAbs().maxCoeff());
}

TEST(KernelDotProductVjp, AGaussianOfEqualRowsAddsNothingHoweverSmallSigmaIs) {
  const RowMatrix<double> x = testing::RandomNormal<double>(20, 30, 8);
  const RowMatrix<double> copy = x;
  const RowMatrix<double> ones = RowMatrix<double>::Ones(20, 20);
  for (const double sigma : {1e-3, 1e-200}) {
    const Gradients<double> grad = Compute<double>(x, copy, GaussianKernel{sigma}, ones);
    EXPECT_EQ(grad.x, (RowMatrix<double>::Zero(20, 30)));
    EXPECT_EQ(grad.y, (RowMatrix<double>::Zero(20, 30)));
    EXPECT_EQ(ComputeSelf<double>(x, GaussianKernel{sigma}, ones), (RowMatrix<double>::Zero(20, 30)));
  }
}

TEST(KernelDotProductVjp, PowersAtAndBelow0HaveTheDerivativesOfAutomaticDifferentiation) {
  // What PyTorch gives for the derivative of s^d.
  const struct {
    double d;
    double s;
    double derivative;
  } kCorners[] = {{0, 0, 0},      {0, -2, 0},      {1, 0, 1},      {1, -2, 1},      {2, 0, 0},   {2, -2, -4},
                  {0.5, 0, kInf}, {0.5, -2, kNan}, {-1, 0, -kInf}, {-1, -2, -0.25}, {2.5, 0, 0}, {2.5, -2, kNan}};
  const RowMatrix<double> one = RowMatrix<double>::Ones(1, 1);
  for (const auto& [d, s, derivative] : kCorners) {
    SCOPED_TRACE(absl::StrCat(s, "^", d));
    const RowMatrix<double> x = one * s;
    const double grad = Compute<double>(x, one, PolynomialKernel{d}, one).x(0, 0);
    if (std::isnan(derivative)) {
      EXPECT_TRUE(std::isnan(grad)) << grad;
    } else {
      EXPECT_EQ(grad, derivative);
    }
  }
  EXPECT_EQ((Compute<double>(one, one, PolynomialKernel{0}, one * kNan).x(0, 0)), 0);
  EXPECT_TRUE(std::isnan(Compute<double>(one * 0, one, PolynomialKernel{0.5}, one * 0).x(0, 0)));
}

TEST(KernelDotProductVjp, KeepsWhatIsNotFiniteInItsRows) {
  const RowMatrix<float> x = testing::RandomNormal<float>(130, 90, 9);
  const RowMatrix<float> y = testing::RandomNormal<float>(101, 90, 10);
  RowMatrix<float> grad_output = testing::RandomNormal<float>(130, 101, 11);
  for (const Kernel& kernel : kKernels) {
    const Gradients<float> before = Compute<float>(x, y, kernel, grad_output);
    RowMatrix<float> bad = grad_output;
    bad(20, 3) = NAN;
    const Gradients<float> after = Compute<float>(x, y, kernel, bad);
    for (int i = 0; i < 130; ++i) {
      if (i == 20) {
        EXPECT_TRUE(after.x.row(i).array().isNaN().all());
      } else {
        EXPECT_EQ(after.x.row(i), before.x.row(i));
      }
    }
    for (int j = 0; j < 101; ++j) {
      if (j == 3) {
        EXPECT_TRUE(after.y.row(j).array().isNaN().all());
      } else {
        EXPECT_EQ(after.y.row(j), before.y.row(j));
      }
    }
  }
}

TEST(KernelDotProductVjp, TakesTheSameMemoryAsXAndY) {
  const RowMatrix<float> x = testing::RandomNormal<float>(33, 20, 12);
  const RowMatrix<float> copy = x;
  const RowMatrix<float> grad_output = testing::RandomNormal<float>(33, 33, 13);
  for (const Kernel& kernel : kKernels) {
    EXPECT_EQ(Compute<float>(x, x, kernel, grad_output), Compute<float>(x, copy, kernel, grad_output));
  }
  // All three.
  EXPECT_EQ(Compute<float>(grad_output, grad_output, LinearKernel{}, grad_output).x,
            Compute<float>(grad_output, RowMatrix<float>(grad_output), LinearKernel{}, grad_output).x);
}

TEST(KernelDotProductVjp, RowsMayBeApart) {
  const RowMatrix<float> x = testing::RandomNormal<float>(9, 20, 14);
  const RowMatrix<float> y = testing::RandomNormal<float>(12, 20, 15);
  const RowMatrix<float> grad_output = testing::RandomNormal<float>(9, 15, 16);
  RowMatrix<float> grad_x = RowMatrix<float>::Zero(9, 14);
  RowMatrix<float> grad_y = RowMatrix<float>::Zero(12, 14);
  ASSERT_TRUE(KernelDotProductVjp<float>(x.middleCols(3, 11), y.middleCols(2, 11), GaussianKernel{2},
                                         grad_output.leftCols(12), grad_x.leftCols(11), grad_y.leftCols(11))
                  .ok());
  const Gradients<float> grad =
      Compute<float>(x.middleCols(3, 11), y.middleCols(2, 11), GaussianKernel{2}, grad_output.leftCols(12));
  EXPECT_EQ(grad_x.leftCols(11), grad.x);
  EXPECT_EQ(grad_y.leftCols(11), grad.y);
  EXPECT_EQ(grad_x.rightCols(3), (RowMatrix<float>::Zero(9, 3)));
  EXPECT_EQ(grad_y.rightCols(3), (RowMatrix<float>::Zero(12, 3)));
}

TEST(KernelDotProductVjp, RefusesShapesThatDoNotFitAndBadKernels) {
  const RowMatrix<float> x = RowMatrix<float>::Zero(2, 3);
  const RowMatrix<float> y = RowMatrix<float>::Zero(4, 3);
  const RowMatrix<float> grad_output = RowMatrix<float>::Zero(2, 4);
  RowMatrix<float> grad_x(2, 3);
  RowMatrix<float> grad_y(4, 3);
  const Kernel linear = LinearKernel{};
  EXPECT_EQ(testing::Refusal(KernelDotProductVjp<float>(x, y.leftCols(2), linear, grad_output, grad_x, grad_y), "y"),
            "y: [4, 2]; need 3 columns, as x has");
  EXPECT_EQ(testing::Refusal(KernelDotProductVjp<float>(x, y, linear, x, grad_x, grad_y), "grad_output"),
            "grad_output: [2, 3]; need [2, 4]");
  testing::Refusal(KernelDotProductVjp<float>(x, y, linear, grad_output, grad_x.topRows(1), grad_y), "grad_x");
  testing::Refusal(KernelDotProductVjp<float>(x, y, linear, grad_output, grad_x, grad_y.leftCols(2)), "grad_y");
  testing::Refusal(KernelDotProductVjp<float>(x, linear, grad_output, grad_x), "grad_output");
  testing::Refusal(KernelDotProductVjp<float>(x, linear, grad_output.leftCols(2), grad_x.leftCols(2)), "grad_x");
  testing::Refusal(KernelDotProductVjp<float>(x, y, GaussianKernel{0}, grad_output, grad_x, grad_y),
                   "kernel.gaussian.sigma");
}

}  // namespace
}  // namespace spikeserve

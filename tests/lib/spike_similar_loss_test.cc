#include "spikeserve/compute/spike_similar_loss.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"

namespace spikeserve {
namespace {

using ::testing::HasSubstr;

const Kernel kKernels[] = {LinearKernel{}, PolynomialKernel{2}, SigmoidKernel{0.1}, GaussianKernel{3}};
constexpr LossType kLossTypes[] = {LossType::kMse, LossType::kL1, LossType::kBce};

LossType LossTypeOf(const std::string& name) {
  if (name == "mse") return LossType::kMse;
  if (name == "l1") return LossType::kL1;
  EXPECT_EQ(name, "bce");
  return LossType::kBce;
}

double ClampedLog(double x) { return std::max(std::log(x), -100.0); }

// The definition, in double.
double Naive(const RowMatrix<double>& x, const RowMatrix<uint8_t>& labels, const Kernel& kernel, LossType loss_type) {
  double sum = 0;
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    for (Eigen::Index j = 0; j < x.rows(); ++j) {
      double p = testing::NaiveKernel(kernel, x.row(i), x.row(j));
      if (std::holds_alternative<LinearKernel>(kernel)) p /= x.row(i).norm() * x.row(j).norm() + 1e-8;
      const double q = (labels.row(i).array() * labels.row(j).array() != 0).any();
      if (loss_type == LossType::kMse) sum += (p - q) * (p - q);
      if (loss_type == LossType::kL1) sum += std::abs(p - q);
      if (loss_type == LossType::kBce) {
        p = std::clamp(p, 0.0, 1.0);
        sum -= q * ClampedLog(p) + (1 - q) * ClampedLog(1 - p);
      }
    }
  }
  return sum / static_cast<double>(x.rows() * x.rows());
}

// Central differences of the definition.
RowMatrix<double> NaiveGradient(RowMatrix<double> x, const RowMatrix<uint8_t>& labels, const Kernel& kernel,
                                LossType loss_type) {
  constexpr double kStep = 1e-6;
  RowMatrix<double> grad(x.rows(), x.cols());
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const double at = x.data()[i];
    x.data()[i] = at + kStep;
    const double above = Naive(x, labels, kernel, loss_type);
    x.data()[i] = at - kStep;
    grad.data()[i] = (above - Naive(x, labels, kernel, loss_type)) / (2 * kStep);
    x.data()[i] = at;
  }
  return grad;
}

RowMatrix<uint8_t> RandomLabels(int samples, int classes, uint32_t seed) {
  return testing::RandomSpikes(samples, classes, 1.5 / std::max(classes, 1), seed).cast<uint8_t>();
}

// bce needs kernels in [0, 1].
bool Defined(const Kernel& kernel, LossType loss_type) {
  return loss_type != LossType::kBce || !std::holds_alternative<PolynomialKernel>(kernel);
}

TEST(SpikeSimilarLoss, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("spike_similar_loss")) {
    SCOPED_TRACE(golden.name);
    const Kernel kernel = testing::KernelOf(golden);
    const LossType loss_type = LossTypeOf(golden.params["loss_type"]);
    const RowMatrix<float> spikes = golden.inputs.at("spikes").matrix<float>();
    const RowMatrix<uint8_t> labels = golden.inputs.at("labels").matrix<int64_t>().cast<uint8_t>();
    RowMatrix<float> grad(spikes.rows(), spikes.cols());
    const auto loss = SpikeSimilarLoss<float>(spikes, labels, kernel, loss_type, MutableMatrixView<float>(grad));
    if (!Defined(kernel, loss_type)) {
      EXPECT_TRUE(golden.outputs.empty());
      EXPECT_THAT(testing::Refusal(loss.status(), "loss_type"), HasSubstr("similarity of"));
      continue;
    }
    ASSERT_TRUE(loss.ok()) << loss.status();
    const RowMatrix<double> x = spikes.cast<double>();
    const double exact = Naive(x, labels, kernel, loss_type);
    // Where the reference refuses, it has no error of its own.
    const double reference = golden.outputs.empty() ? exact : golden.outputs.at("loss").ToDoubles()[0];
    EXPECT_TRUE(testing::IsWithinTolerance(*loss, reference, exact));
    if (!golden.outputs.contains("grad_spikes")) continue;
    // The gradient in double stands for the exact one; the tests below compare it with differences of the definition.
    RowMatrix<double> exact_grad(x.rows(), x.cols());
    ASSERT_TRUE(SpikeSimilarLoss<double>(x, labels, kernel, loss_type, MutableMatrixView<double>(exact_grad)).ok());
    const RowMatrix<float> reference_grad = golden.outputs.at("grad_spikes").matrix<float>();
    const double scale = exact_grad.cwiseAbs().maxCoeff();
    for (Eigen::Index i = 0; i < grad.rows(); ++i) {
      // Without a label a sample is wanted to be unlike itself; the slope of bce there is 1e12, and the reference's
      // float32 loses the other terms beside it.
      const bool lost = loss_type == LossType::kBce && labels.row(i).isZero();
      for (Eigen::Index k = 0; k < grad.cols(); ++k) {
        EXPECT_TRUE(testing::IsWithinTolerance(grad(i, k), reference_grad(i, k), exact_grad(i, k)));
        EXPECT_NEAR(grad(i, k), reference_grad(i, k), lost ? INFINITY : 1e-5 * scale);
      }
    }
  }
}

TEST(SpikeSimilarLoss, IsThatOfTheDefinitionForAnyShapeAndThreads) {
  testing::SplitExecutor split;
  const int depths[] = {0, 1, 7, 65, 513};
  const int classes[] = {0, 1, 5, 64, 65, 130};
  uint32_t seed = 0;
  for (const int samples : {1, 2, 3, 13, 64, 65, 130}) {
    for (const Kernel& kernel : kKernels) {
      for (const LossType loss_type : kLossTypes) {
        if (!Defined(kernel, loss_type)) continue;
        const int depth = depths[++seed % std::size(depths)];
        const auto spikes = testing::RandomSpikes(samples, depth, 0.3, seed);
        const auto labels = RandomLabels(samples, classes[seed % std::size(classes)], seed);
        SCOPED_TRACE(absl::StrCat("N = ", samples, ", M = ", depth, ", C = ", labels.cols()));
        const auto loss = SpikeSimilarLoss<float>(spikes, labels, kernel, loss_type);
        ASSERT_TRUE(loss.ok()) << loss.status();
        const double exact = Naive(spikes.cast<double>(), labels, kernel, loss_type);
        EXPECT_NEAR(*loss, exact, 1e-7 * exact + 1e-12);

        RowMatrix<float> grad(samples, depth);
        RowMatrix<float> split_grad(samples, depth);
        const MutableMatrixView<float> view(grad);
        EXPECT_EQ(*SpikeSimilarLoss<float>(spikes, labels, kernel, loss_type, view), *loss);
        EXPECT_EQ(
            *SpikeSimilarLoss<float>(spikes, labels, kernel, loss_type, MutableMatrixView<float>(split_grad), split),
            *loss);
        EXPECT_EQ(grad, split_grad);
        EXPECT_EQ(*SpikeSimilarLoss<float>(spikes, labels, kernel, loss_type, std::nullopt, split), *loss);
      }
    }
  }
}

TEST(SpikeSimilarLoss, GradientIsTheSlopeOfTheLoss) {
  for (const Kernel& kernel : kKernels) {
    for (const LossType loss_type : kLossTypes) {
      if (!Defined(kernel, loss_type)) continue;
      // Positive, for similarities inside of (0, 1) and a smooth loss.
      const RowMatrix<double> x = testing::RandomNormal<double>(6, 5, 11).cwiseAbs().array() + 0.1;
      const RowMatrix<uint8_t> labels = RandomLabels(6, 3, 12);
      RowMatrix<double> grad(6, 5);
      ASSERT_TRUE(SpikeSimilarLoss<double>(x, labels, kernel, loss_type, MutableMatrixView<double>(grad)).ok());
      const RowMatrix<double> expected = NaiveGradient(x, labels, kernel, loss_type);
      // In the diagonal of bce the logarithm of a similarity of almost 1 costs the differences digits.
      EXPECT_LE((grad - expected).cwiseAbs().maxCoeff(), 1e-5 * expected.cwiseAbs().maxCoeff() + 1e-7)
          << "kernel " << kernel.index() << ", loss " << static_cast<int>(loss_type);
    }
  }
}

TEST(SpikeSimilarLoss, GradientOfMoreSamplesThanATileIsTheSlopeOfTheLoss) {
  const RowMatrix<double> x = testing::RandomNormal<double>(67, 2, 13);
  const RowMatrix<uint8_t> labels = RandomLabels(67, 3, 14);
  RowMatrix<double> grad(67, 2);
  for (const Kernel& kernel : kKernels) {
    ASSERT_TRUE(SpikeSimilarLoss<double>(x, labels, kernel, LossType::kMse, MutableMatrixView<double>(grad)).ok());
    const RowMatrix<double> expected = NaiveGradient(x, labels, kernel, LossType::kMse);
    EXPECT_LE((grad - expected).cwiseAbs().maxCoeff(), 1e-6 * expected.cwiseAbs().maxCoeff() + 1e-9);
  }
}

TEST(SpikeSimilarLoss, OfASilentSampleTheNormHasNoGradient) {
  RowMatrix<double> x(2, 2);
  x << 0, 0, 1, 1;
  const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(2, 1);
  RowMatrix<double> grad(2, 2);
  ASSERT_TRUE(
      SpikeSimilarLoss<double>(x, labels, LinearKernel{}, LossType::kMse, MutableMatrixView<double>(grad)).ok());
  // Only the product is left: (0 - 1) * 2 / 4 for both pairs, over the 1e-8 that is added to the product of the norms.
  EXPECT_DOUBLE_EQ(grad(0, 0), -1e8);
  EXPECT_NEAR(grad(1, 0), 0, 1e-7);
}

TEST(SpikeSimilarLoss, AtEqualityTheL1GradientIsZero) {
  const RowMatrix<double> x = RowMatrix<double>::Identity(3, 3);
  RowMatrix<double> grad = RowMatrix<double>::Ones(3, 3);
  const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Identity(3, 3);
  const auto loss =
      SpikeSimilarLoss<double>(x, labels, PolynomialKernel{2}, LossType::kL1, MutableMatrixView<double>(grad));
  ASSERT_TRUE(loss.ok());
  EXPECT_EQ(*loss, 0);
  EXPECT_EQ(grad, (RowMatrix<double>::Zero(3, 3)));
}

TEST(SpikeSimilarLoss, BceTakesSimilaritiesBeyondOneByRounding) {
  RowMatrix<double> x(2, 1);
  x << 1, 1 + 4e-6;
  const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(2, 1);
  EXPECT_TRUE(SpikeSimilarLoss<double>(x, labels, PolynomialKernel{1}, LossType::kBce).ok());
  x(1, 0) = 1 + 2e-5;
  EXPECT_EQ(
      testing::Refusal(SpikeSimilarLoss<double>(x, labels, PolynomialKernel{1}, LossType::kBce).status(), "loss_type"),
      "loss_type: binary cross entropy with a similarity of 1.00002 of samples 0 and 1; need similarities in "
      "[0, 1]");
}

TEST(SpikeSimilarLoss, BceNamesTheFirstPairAndItsValueForAnyThreads) {
  RowMatrix<float> x = RowMatrix<float>::Zero(200, 3);
  x(70, 0) = 3;
  x(150, 0) = -2;
  x(190, 1) = NAN;
  const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(200, 1);
  testing::SplitExecutor split;
  RowMatrix<float> grad(200, 3);
  const std::string expected = "a similarity of 9 of samples 70 and 70";
  x(190, 1) = 0;
  EXPECT_THAT(testing::Refusal(SpikeSimilarLoss<float>(x, labels, PolynomialKernel{1}, LossType::kBce,
                                                       MutableMatrixView<float>(grad), split)
                                   .status(),
                               "loss_type"),
              HasSubstr(expected));
  x(190, 1) = NAN;
  EXPECT_THAT(testing::Refusal(
                  SpikeSimilarLoss<float>(x, labels, PolynomialKernel{1}, LossType::kBce, std::nullopt, split).status(),
                  "loss_type"),
              HasSubstr("a similarity of nan of samples 0 and 190"));
}

TEST(SpikeSimilarLoss, RefusesBadOperands) {
  const RowMatrix<float> x = RowMatrix<float>::Ones(3, 4);
  RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(3, 2);
  const RowMatrix<float> none(0, 4);
  testing::Refusal(SpikeSimilarLoss<float>(none, RowMatrix<uint8_t>(0, 2), LinearKernel{}, LossType::kMse).status(),
                   "spikes");
  testing::Refusal(SpikeSimilarLoss<float>(x, labels.topRows(2), LinearKernel{}, LossType::kMse).status(), "labels");
  testing::Refusal(SpikeSimilarLoss<float>(x, labels, GaussianKernel{0}, LossType::kMse).status(),
                   "kernel.gaussian.sigma");
  RowMatrix<float> grad(3, 3);
  testing::Refusal(
      SpikeSimilarLoss<float>(x, labels, LinearKernel{}, LossType::kMse, MutableMatrixView<float>(grad)).status(),
      "grad_spikes");
  labels(1, 0) = 2;
  EXPECT_EQ(testing::Refusal(SpikeSimilarLoss<float>(x, labels, LinearKernel{}, LossType::kMse).status(), "labels"),
            "labels: labels[1][0] is 2; need only 0 and 1");
}

}  // namespace
}  // namespace spikeserve

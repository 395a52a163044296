#include "spikeserve/compute/spike_similar_loss.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"
#include "spikeserve/compute/bit_matrix.h"

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
  for (const int samples : {1, 2, 3, 13, 64, 65, 130, 300}) {
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

// The gradient as a library computes it that has nothing but floats; of kMse.
RowMatrix<float> GradientInFloats(const RowMatrix<float>& x, const RowMatrix<uint8_t>& labels, const Kernel& kernel) {
  using Square = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::VectorXf norms = x.rowwise().norm();
  const Square products = x * x.transpose();
  const Square wanted = (labels.cast<float>() * labels.cast<float>().transpose()).array().min(1.0f);
  const float scale = 4 / static_cast<float>(x.rows() * x.rows());
  Square other;  // The derivatives of the loss with respect to products, or to half of the negative distances.
  if (const auto* sigmoid = std::get_if<SigmoidKernel>(&kernel)) {
    const float alpha = static_cast<float>(sigmoid->alpha);
    const Square p = 1 / (1 + (-alpha * products).exp());
    other = scale * (p - wanted) * alpha * p * (1 - p);
  } else if (const auto* polynomial = std::get_if<PolynomialKernel>(&kernel)) {
    const float d = static_cast<float>(polynomial->d);
    other = scale * (products.pow(d) - wanted) * d * products.pow(d - 1);
  } else if (const auto* gaussian = std::get_if<GaussianKernel>(&kernel)) {
    const float variance = static_cast<float>(gaussian->sigma * gaussian->sigma);
    const Square squares = norms.array().square().replicate(1, x.rows());
    const Square p = ((squares + squares.transpose() - 2 * products) / (-2 * variance)).exp();
    other = scale * (p - wanted) * p / variance;
    return other.matrix() * x - other.rowwise().sum().matrix().asDiagonal() * x;
  } else {
    const Square norm_products = (norms * norms.transpose()).array() + 1e-8f;
    const Square p = products / norm_products;
    other = scale * (p - wanted) / norm_products;
    const Eigen::VectorXf self = (other * p).matrix() * norms;
    return other.matrix() * x - (self.array() / norms.array()).matrix().asDiagonal() * x;
  }
  return other.matrix() * x;
}

// The gradient of floats is as accurate as GradientInFloats, that of doubles standing for the exact one.
void ExpectAccurateGradient(const RowMatrix<float>& x, const RowMatrix<uint8_t>& labels, const Kernel& kernel) {
  const RowMatrix<double> x2 = x.cast<double>();
  RowMatrix<double> exact(x.rows(), x.cols());
  const auto exact_loss =
      SpikeSimilarLoss<double>(x2, labels, kernel, LossType::kMse, MutableMatrixView<double>(exact));
  RowMatrix<float> grad(x.rows(), x.cols());
  const auto loss = SpikeSimilarLoss<float>(x, labels, kernel, LossType::kMse, MutableMatrixView<float>(grad));
  ASSERT_TRUE(loss.ok()) << loss.status();
  EXPECT_NEAR(*loss, *exact_loss, 1e-6 * *exact_loss);
  const double error = (grad.cast<double>() - exact).cwiseAbs().maxCoeff();
  const double usual = (GradientInFloats(x, labels, kernel).cast<double>() - exact).cwiseAbs().maxCoeff();
  EXPECT_LE(error, std::max(2 * usual, 1e-6 * exact.cwiseAbs().maxCoeff())) << "kernel " << kernel.index();
}

TEST(SpikeSimilarLoss, GradientOfManyFloatsIsAsAccurateAsFloats) {
  const RowMatrix<uint8_t> labels = RandomLabels(300, 10, 1);
  const RowMatrix<float> spikes = testing::RandomSpikes(300, 113, 0.3, 2);
  const RowMatrix<float> floats = testing::RandomNormal<float>(300, 113, 3).cwiseAbs();
  for (const Kernel& kernel :
       {Kernel(LinearKernel{}), Kernel(PolynomialKernel{2}), Kernel(SigmoidKernel{0.1}), Kernel(GaussianKernel{5})}) {
    testing::ForEachTarget([&] {
      ExpectAccurateGradient(spikes, labels, kernel);
      ExpectAccurateGradient(floats, labels, kernel);
    });
  }
}

TEST(SpikeSimilarLoss, OfBitsIsThatOfSpikesOnEveryTarget) {
  uint32_t seed = 20;
  // Few enough for sums in double, and more.
  for (const auto& [samples, depth] : {std::pair(7, 3), std::pair(40, 130), std::pair(200, 97), std::pair(33, 2111)}) {
    const RowMatrix<uint8_t> labels = RandomLabels(samples, 7, ++seed);
    const RowMatrix<float> spikes = testing::RandomSpikes(samples, depth, 0.3, seed);
    // Unaligned, with garbage beyond the last column.
    const BitMatrix packed = *BitMatrix::Pack<float>(spikes);
    const int64_t bytes = (depth + 7) / 8;
    std::vector<uint8_t> memory(1 + samples * bytes);
    for (int r = 0; r < samples; ++r) {
      std::copy_n(packed.row(r), bytes, memory.begin() + 1 + r * bytes);
      if (depth % 8 != 0) memory[r * bytes + bytes] |= static_cast<uint8_t>(0xff << (depth % 8));
    }
    const BitMatrixView bits(memory.data() + 1, samples, depth);
    for (const Kernel& kernel : kKernels) {
      for (const LossType loss_type : kLossTypes) {
        if (!Defined(kernel, loss_type)) continue;
        RowMatrix<float> expected_grad(samples, depth);
        const auto expected =
            SpikeSimilarLoss<float>(spikes, labels, kernel, loss_type, MutableMatrixView<float>(expected_grad));
        ASSERT_TRUE(expected.ok()) << expected.status();
        testing::ForEachTarget([&] {
          RowMatrix<float> grad = RowMatrix<float>::Constant(samples, depth, -7);
          EXPECT_EQ(*SpikeSimilarLoss<float>(bits, labels, kernel, loss_type, MutableMatrixView<float>(grad)),
                    *expected);
          EXPECT_EQ(grad, expected_grad);
          EXPECT_EQ(*SpikeSimilarLoss<float>(bits, labels, kernel, loss_type), *expected);
        });
        RowMatrix<double> double_grad(samples, depth);
        EXPECT_EQ(*SpikeSimilarLoss<double>(bits, labels, kernel, loss_type, MutableMatrixView<double>(double_grad)),
                  *expected);
        EXPECT_LE((double_grad - expected_grad.cast<double>()).cwiseAbs().maxCoeff(),
                  1e-5 * double_grad.cwiseAbs().maxCoeff());
      }
    }
  }
}

TEST(SpikeSimilarLoss, BceOfBitsNamesTheFirstPair) {
  BitMatrix spikes(400, 90);
  const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(400, 1);
  for (const int c : {1, 30, 89}) {
    spikes.Set(321, c);
    spikes.Set(70, c);
  }
  spikes.Set(12, 30);
  testing::SplitExecutor split;
  RowMatrix<float> grad(400, 90);
  // Of samples 12 and 70 it is 1, which is allowed.
  EXPECT_EQ(testing::Refusal(SpikeSimilarLoss<float>(spikes, labels, PolynomialKernel{1}, LossType::kBce,
                                                     MutableMatrixView<float>(grad), split)
                                 .status(),
                             "loss_type"),
            "loss_type: binary cross entropy with a similarity of 3 of samples 70 and 70; need similarities in [0, 1]");
  EXPECT_THAT(
      testing::Refusal(
          SpikeSimilarLoss<float>(spikes, labels, PolynomialKernel{1}, LossType::kBce, std::nullopt, split).status(),
          "loss_type"),
      HasSubstr("a similarity of 3 of samples 70 and 70"));
}

TEST(SpikeSimilarLoss, OfBitsRefusesBadOperands) {
  const BitMatrix x(3, 4);
  const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(3, 2);
  testing::Refusal(SpikeSimilarLoss<float>(x, labels.topRows(2), LinearKernel{}, LossType::kMse).status(), "labels");
  RowMatrix<float> grad(3, 3);
  testing::Refusal(
      SpikeSimilarLoss<float>(x, labels, LinearKernel{}, LossType::kMse, MutableMatrixView<float>(grad)).status(),
      "grad_spikes");
  const BitMatrixView long_row(nullptr, 1, int64_t{1} << 31);
  testing::Refusal(SpikeSimilarLoss<float>(long_row, labels.topRows(1), LinearKernel{}, LossType::kMse).status(),
                   "spikes");
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

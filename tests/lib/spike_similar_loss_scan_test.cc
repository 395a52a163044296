#include "spikeserve/compute/spike_similar_loss_scan.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spikeserve {
namespace {

using ::testing::HasSubstr;

const std::vector<Kernel> kKernels = {LinearKernel{}, PolynomialKernel{2}, SigmoidKernel{0.1}, GaussianKernel{3}};

// Each sample has a label: one without is to differ from itself, where the slope of the cross entropy is so large that
// the gradient is nothing but rounding.
RowMatrix<uint8_t> RandomLabels(int64_t samples, std::mt19937& random) {
  RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::NullaryExpr(samples, 5, [&] { return random() % 4 == 0; });
  for (int64_t i = 0; i < samples; ++i) labels(i, static_cast<int64_t>(random() % 5)) = 1;
  return labels;
}

// The loss and gradient of `spikes` in pieces of the given widths.
template <typename Add>
void ExpectAsTheWhole(const RowMatrix<double>& spikes, const RowMatrix<uint8_t>& labels, const Kernel& kernel,
                      LossType loss_type, const std::vector<int64_t>& widths, const Add& add) {
  RowMatrix<double> grad(spikes.rows(), spikes.cols());
  const auto whole = SpikeSimilarLoss<double>(spikes, labels, kernel, loss_type, MutableMatrixView<double>(grad));
  auto scan = SpikeSimilarLossScan::Create(labels, kernel, loss_type);
  ASSERT_TRUE(scan.ok()) << scan.status();
  int64_t begin = 0;
  for (const int64_t width : widths) {
    ASSERT_TRUE(add(*scan, spikes.middleCols(begin, width)).ok());
    begin += width;
  }
  ASSERT_EQ(begin, spikes.cols());
  const auto loss = scan->Finish();
  ASSERT_EQ(loss.ok(), whole.ok()) << loss.status() << whole.status();
  if (!whole.ok()) {
    EXPECT_EQ(loss.status().code(), whole.status().code());
    EXPECT_THAT(std::string(loss.status().message()), HasSubstr("binary cross entropy with a similarity of"));
    return;
  }
  EXPECT_NEAR(*loss, *whole, 1e-12 * (1 + std::abs(*whole)));
  begin = 0;
  for (const int64_t width : widths) {
    const RowMatrix<double> piece = spikes.middleCols(begin, width);
    RowMatrix<double> piece_grad(piece.rows(), width);
    ASSERT_TRUE(scan->Gradient(piece, piece_grad).ok());
    for (int64_t r = 0; r < piece.rows(); ++r) {
      for (int64_t c = 0; c < width; ++c) {
        const double expected = grad(r, begin + c);
        ASSERT_NEAR(piece_grad(r, c), expected, 1e-9 * (1e-3 + std::abs(expected))) << r << " " << c;
      }
    }
    begin += width;
  }
}

TEST(SpikeSimilarLossScan, PiecesOfBitsGiveTheLossAndGradientOfTheWhole) {
  std::mt19937 random(3);
  for (const int64_t samples : {1, 2, 7, 65, 130}) {
    RowMatrix<double> spikes = RowMatrix<double>::NullaryExpr(samples, 100, [&] { return random() % 5 == 0; });
    spikes.row(samples / 2).setZero();  // A silent sample.
    const RowMatrix<uint8_t> labels = RandomLabels(samples, random);
    for (const Kernel& kernel : kKernels) {
      for (const LossType loss_type : {LossType::kMse, LossType::kL1, LossType::kBce}) {
        ExpectAsTheWhole(spikes, labels, kernel, loss_type, {1, 0, 63, 36},
                         [](SpikeSimilarLossScan& scan, const RowMatrix<double>& piece) {
                           return scan.Add(*BitMatrix::Pack<double>(piece));
                         });
      }
    }
  }
}

TEST(SpikeSimilarLossScan, PiecesOfFloatsGiveTheLossAndGradientOfTheWhole) {
  std::mt19937 random(4);
  std::normal_distribution<double> normal;
  for (const int64_t samples : {1, 5, 70}) {
    const RowMatrix<double> spikes = RowMatrix<double>::NullaryExpr(samples, 40, [&] { return normal(random); });
    const RowMatrix<uint8_t> labels = RandomLabels(samples, random);
    for (const Kernel& kernel : kKernels) {
      for (const LossType loss_type : {LossType::kMse, LossType::kL1, LossType::kBce}) {
        ExpectAsTheWhole(spikes, labels, kernel, loss_type, {13, 27},
                         [](SpikeSimilarLossScan& scan, const RowMatrix<double>& piece) { return scan.Add(piece); });
      }
    }
  }
}

TEST(SpikeSimilarLossScan, PiecesOfAnotherNumberOfSamplesAreRefused) {
  const RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Ones(3, 1);
  auto scan = SpikeSimilarLossScan::Create(labels, LinearKernel{}, LossType::kMse);
  ASSERT_TRUE(scan.ok());
  const absl::Status status = scan->Add(RowMatrix<double>::Ones(2, 4));
  EXPECT_EQ(status.message(), "spikes: 2 samples; need 3, as labels has");
  EXPECT_FALSE(SpikeSimilarLossScan::Create(RowMatrix<uint8_t>(0, 1), LinearKernel{}, LossType::kMse).ok());
  EXPECT_FALSE(SpikeSimilarLossScan::Create(labels, GaussianKernel{0}, LossType::kMse).ok());
  EXPECT_FALSE(
      SpikeSimilarLossScan::Create(RowMatrix<uint8_t>::Constant(3, 1, 2), LinearKernel{}, LossType::kMse).ok());
}

TEST(SpikeSimilarLossScan, TheMemoryOfManySamplesDoesNotOverflow) {
  EXPECT_EQ(SpikeSimilarLossScan::ByteSize(1000, 10), 16002000);
  EXPECT_EQ(SpikeSimilarLossScan::ByteSize(int64_t{1} << 40, 1), INT64_MAX);
}

}  // namespace
}  // namespace spikeserve

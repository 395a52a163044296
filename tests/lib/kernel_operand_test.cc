#include "spikeserve/compute/kernel_operand.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spikeserve {
namespace {

using ::testing::HasSubstr;

const Kernel kKernels[] = {LinearKernel{}, PolynomialKernel{2}, SigmoidKernel{0.1}, GaussianKernel{3}};

template <typename Scalar>
RowMatrix<Scalar> Random(int64_t rows, int64_t cols) {
  return RowMatrix<Scalar>::Random(rows, cols);
}

template <typename Scalar>
RowMatrix<Scalar> Spikes(int64_t rows, int64_t cols) {
  return (RowMatrix<Scalar>::Random(rows, cols).array() > 0.6).template cast<Scalar>();
}

// The kernels of all rows of x, which are multiplied `piece` at a time, are those of KernelDotProduct.
template <typename Scalar>
void ExpectSameAsAtOnce(const RowMatrix<Scalar>& x, const RowMatrix<Scalar>& y, int64_t piece, double tolerance) {
  for (const Kernel& kernel : kKernels) {
    RowMatrix<Scalar> at_once(x.rows(), y.rows());
    ASSERT_TRUE(KernelDotProduct<Scalar>(x, y, kernel, at_once).ok());
    const auto operand = KernelOperand<Scalar>::Create(y, kernel);
    ASSERT_TRUE(operand.ok()) << operand.status();
    for (int64_t begin = 0; begin < x.rows(); begin += piece) {
      const int64_t rows = std::min(piece, x.rows() - begin);
      RowMatrix<Scalar> ret(rows, y.rows());
      ASSERT_TRUE(operand->Multiply(x.middleRows(begin, rows), ret).ok());
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < ret.cols(); ++c) {
          const double want = at_once(begin + r, c);
          ASSERT_NEAR(ret(r, c), want, tolerance * (1 + std::abs(want)))
              << kernel.index() << " " << begin + r << "," << c;
        }
      }
    }
  }
}

TEST(KernelOperand, PiecesOfFloatsAndDoublesHaveTheKernelsOfTheWhole) {
  for (const int64_t piece : {1, 17, 100}) {
    ExpectSameAsAtOnce<float>(Random<float>(100, 700), Random<float>(61, 700), piece, 2e-5);
    ExpectSameAsAtOnce<double>(Random<double>(100, 300), Random<double>(61, 300), piece, 1e-12);
  }
}

TEST(KernelOperand, PiecesOfZerosAndOnesAreExact) {
  const RowMatrix<float> x = Spikes<float>(100, 700), y = Spikes<float>(61, 700);
  ExpectSameAsAtOnce<float>(x, y, 17, 0);
  const BitMatrix x_bits = *BitMatrix::Pack<float>(x), y_bits = *BitMatrix::Pack<float>(y);
  for (const Kernel& kernel : kKernels) {
    RowMatrix<float> at_once(100, 61);
    ASSERT_TRUE(KernelDotProduct<float>(x_bits, y_bits, kernel, at_once).ok());
    const auto operand = KernelBitOperand::Create(y_bits, kernel);
    ASSERT_TRUE(operand.ok()) << operand.status();
    const BitMatrixView piece(x_bits.row(40), 60, 700, x_bits.row_bytes());
    RowMatrix<float> ret(60, 61);
    ASSERT_TRUE(operand->Multiply<float>(piece, ret).ok());
    EXPECT_EQ(ret, at_once.bottomRows(60)) << kernel.index();
  }
}

TEST(KernelOperand, ZerosAndOnesMayMeetOtherNumbers) {
  ExpectSameAsAtOnce<float>(Random<float>(40, 700), Spikes<float>(61, 700), 17, 2e-5);
  ExpectSameAsAtOnce<float>(Spikes<float>(40, 700), Random<float>(61, 700), 17, 2e-5);
}

TEST(KernelOperand, TakesEmptyOperands) {
  for (const auto& [n, k, m] : {std::array<int64_t, 3>{0, 3, 4}, {3, 0, 4}, {3, 4, 0}}) {
    ExpectSameAsAtOnce<float>(Random<float>(n, m), Random<float>(k, m), 2, 0);
  }
}

TEST(KernelOperand, RefusesWhatDoesNotFit) {
  const RowMatrix<float> y = Random<float>(3, 4);
  EXPECT_THAT(std::string(KernelOperand<float>::Create(y, GaussianKernel{0}).status().message()), HasSubstr("sigma"));
  const auto operand = KernelOperand<float>::Create(y, LinearKernel{});
  RowMatrix<float> ret(2, 3);
  EXPECT_THAT(std::string(operand->Multiply(Random<float>(2, 5), ret).message()),
              HasSubstr("x: [2, 5]; need 4 columns"));
  EXPECT_THAT(std::string(operand->Multiply(Random<float>(1, 4), ret).message()),
              HasSubstr("ret: [2, 3]; need [1, 3]"));
}

}  // namespace
}  // namespace spikeserve

// Computations that nobody waits for any longer: they ask often, wherever their time goes, and end when they are told.
// (Those of networks: given_up_test.cc.)

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/first_spike_index.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/kernel_operand.h"
#include "spikeserve/compute/kernel_vjp.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/redundant_one_hot.h"
#include "spikeserve/compute/spike_cluster.h"
#include "spikeserve/compute/spike_cluster_scan.h"
#include "spikeserve/compute/spike_similar_loss.h"
#include "spikeserve/compute/spike_similar_loss_scan.h"
#include "spikeserve/compute/stopping_executor.h"
#include "spikeserve/compute/threshold_margin.h"

namespace spikeserve {
namespace {

// Wants the results for so many questions, and counts those that come later.
class Patience final : public Executor {
 public:
  explicit Patience(int64_t questions) : questions_(questions) {}

  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) override {
    CountLate();
    stopping_.ParallelFor(count, grain, body);
  }
  bool Stopped() override {
    CountLate();
    return stopping_.Stopped();
  }

  int64_t asked() const { return asked_; }
  int64_t late() const { return late_; }

 private:
  void CountLate() { late_ += stopping_.has_stopped() ? 1 : 0; }
  absl::Status Wanted() { return asked_++ < questions_ ? absl::OkStatus() : absl::CancelledError("given up"); }

  const int64_t questions_;
  int64_t asked_ = 0;
  int64_t late_ = 0;
  const std::function<absl::Status()> wanted_ = [this] { return Wanted(); };
  StoppingExecutor stopping_{InlineExecutor(), wanted_};
};

// Checks that `compute` asks at least once in so much of its work, and that it soon ends when it is told to, whenever
// that is.
void ExpectStops(int64_t work, int64_t work_per_question, absl::FunctionRef<void(Executor&)> compute) {
  Patience endless(std::numeric_limits<int64_t>::max());
  compute(endless);
  EXPECT_GE(endless.asked(), work / work_per_question);
  for (const int64_t questions : {int64_t{0}, int64_t{1}, endless.asked() / 3, endless.asked() / 2,
                                  endless.asked() * 3 / 4, endless.asked() - 1}) {
    SCOPED_TRACE(questions);
    Patience patience(questions);
    compute(patience);
    EXPECT_EQ(patience.asked(), questions + 1);
    // What follows each other in a computation asks once or twice each.
    EXPECT_LE(patience.late(), 30);
  }
}

// Numbers between -1 and 1, in no order.
float Number(int64_t i) {
  return static_cast<float>(static_cast<int32_t>(static_cast<uint32_t>(i) * 2654435761u)) * 0x1p-31f;
}
template <typename Scalar>
RowMatrix<Scalar> Numbers(int64_t rows, int64_t cols) {
  RowMatrix<Scalar> matrix(rows, cols);
  for (int64_t i = 0; i < matrix.size(); ++i) matrix.data()[i] = static_cast<Scalar>(Number(i));
  return matrix;
}

BitMatrix Bits(int64_t rows, int64_t cols) {
  BitMatrix bits(rows, cols);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t byte = 0; byte < cols / 8; ++byte) bits.row(r)[byte] = static_cast<uint8_t>(byte * 37 + r);
  }
  return bits;
}

template <class X>
void ExpectKernelStops(int64_t work, int64_t work_per_question, const X& x, const X& y, const Kernel& kernel) {
  RowMatrix<float> ret(x.rows(), y.rows());
  ExpectStops(work, work_per_question,
              [&](Executor& executor) { ASSERT_TRUE(KernelDotProduct<float>(x, y, kernel, ret, executor).ok()); });
}

constexpr int64_t kPanelElements = 1 << 18;  // Those that are laid out between two questions.

TEST(Stopped, AKernelOfFewLongRows) {
  constexpr int64_t kDepth = 1 << 21;
  ExpectKernelStops<RowMatrix<float>>(3 * kDepth, kPanelElements, Numbers<float>(2, kDepth), Numbers<float>(1, kDepth),
                                      GaussianKernel{1});
}

TEST(Stopped, AKernelOfFewLongRowsOfBits) {
  constexpr int64_t kDepth = 1 << 26;
  ExpectKernelStops<BitMatrixView>(3 * kDepth / 64, kPanelElements, Bits(2, kDepth), Bits(1, kDepth),
                                   SigmoidKernel{1e-8});
}

TEST(Stopped, AKernelOfOneLongRow) {
  constexpr int64_t kDepth = 1 << 19;
  // The rows are packed, in panels of 16, as are their norms and the products: 48 rows.
  ExpectKernelStops<RowMatrix<float>>(64 * kDepth, kPanelElements, Numbers<float>(1, kDepth),
                                      Numbers<float>(40, kDepth), GaussianKernel{1});
}

TEST(Stopped, AKernelOfLongRowsOfBits) {
  constexpr int64_t kDepth = 1 << 26;
  // In panels of 8: 8 and 16 rows.
  ExpectKernelStops<BitMatrixView>(24 * kDepth / 64, kPanelElements, Bits(1, kDepth), Bits(9, kDepth), LinearKernel{});
}

TEST(Stopped, AKernelWithTheMiddleOfLongRows) {
  constexpr int64_t kDepth = 1 << 20;
  // The middle is found from all rows, twice.
  ExpectKernelStops<RowMatrix<float>>(2 * 17 * kDepth, kPanelElements / 2, Numbers<float>(1, kDepth),
                                      Numbers<float>(16, kDepth), GaussianKernel{1});
}

TEST(Stopped, AKernelOfRowsThatNearlyCoincide) {
  constexpr int64_t kRows = 64;
  constexpr int64_t kDepth = 1 << 14;
  // The middle is one of the two sides, and half of the rows are on the other one.
  RowMatrix<float> x = Numbers<float>(kRows, kDepth) * 1e-6f;
  for (int64_t r = 0; r < kRows; ++r) x.row(r).array() += r % 2 == 0 ? 1.0f : -1.0f;
  RowMatrix<float> y = x;
  constexpr int64_t kPairs = kRows * kRows / 4;
  ExpectKernelStops(kPairs * kDepth, 1 << 18, x, y, GaussianKernel{1});
}

TEST(Stopped, AKernelOfBitsAndRowsThatNearlyCoincide) {
  constexpr int64_t kDepth = 1 << 15;
  const RowMatrix<float> x = RowMatrix<float>::Ones(64, kDepth);
  const RowMatrix<float> y = Numbers<float>(32, kDepth) * 1e-6f + RowMatrix<float>::Ones(32, kDepth);
  ExpectKernelStops(64 * 32 * kDepth, 1 << 18, x, y, GaussianKernel{1});
}

TEST(Stopped, AKernelOfBitsAndOthers) {
  constexpr int64_t kDepth = 1 << 18;
  const RowMatrix<float> x = RowMatrix<float>::Ones(64, kDepth);
  // Rows are packed one by one; the other row is laid out in a panel of 16, for which there are sums.
  ExpectKernelStops<RowMatrix<float>>((64 + 16 + 16) * kDepth, kPanelElements, x, Numbers<float>(1, kDepth),
                                      LinearKernel{});
}

TEST(Stopped, ATableOfAKernel) {
  constexpr int64_t kRows = 200;
  constexpr int64_t kDepth = 1 << 14;
  RowMatrix<float> ret(kRows, kRows);
  BitMatrix x(kRows, kDepth);
  for (int64_t r = 0; r < kRows; ++r) std::fill_n(x.row(r), kDepth / 8, 0xff);
  const BitMatrix y{BitMatrixView(x)};
  for (const Kernel& kernel : {Kernel(PolynomialKernel{1.5}), Kernel(GaussianKernel{100})}) {
    // The values, and the pairs that look them up.
    ExpectStops(kDepth + kRows * kRows, 1500,
                [&](Executor& executor) { ASSERT_TRUE(KernelDotProduct<float>(x, y, kernel, ret, executor).ok()); });
  }
}

TEST(Stopped, TheGradientOfAKernelOfVeryManyRows) {
  constexpr int64_t kRows = 1 << 20;
  const RowMatrix<float> x = Numbers<float>(1, 1), y = Numbers<float>(kRows, 1), grad = Numbers<float>(1, kRows);
  RowMatrix<float> grad_x(1, 1), grad_y(kRows, 1);
  // A tile is of 192 rows; then they are laid out in a panel of 16.
  ExpectStops(kRows / 192 + 16 * kRows / kPanelElements, 1, [&](Executor& executor) {
    ASSERT_TRUE(KernelDotProductVjp<float>(x, y, GaussianKernel{1}, grad, grad_x, grad_y, executor).ok());
  });
}

TEST(Stopped, PackingALongRow) {
  constexpr int64_t kLength = 1 << 24;
  const RowMatrix<uint8_t> row = RowMatrix<uint8_t>::Ones(1, kLength);
  ExpectStops(kLength, 1 << 20, [&](Executor& executor) { EXPECT_TRUE(BitMatrix::Pack<uint8_t>(row, executor)); });
}

TEST(Stopped, FindingAFirstSpikeInALongRow) {
  constexpr int64_t kLength = 1 << 25;
  RowMatrix<uint8_t> row = RowMatrix<uint8_t>::Zero(1, kLength);
  row(0, kLength - 1) = 1;
  const BitMatrix bits(1, 8 * kLength);
  ExpectStops(kLength, 1 << 22, [&](Executor& executor) { (void)FirstSpikeIndex(row, executor); });
  ExpectStops(kLength, 1 << 22, [&](Executor& executor) { (void)FirstSpikeIndex(bits, executor); });
  std::vector<uint8_t> mask(kLength);
  const int32_t index[] = {kLength / 2};
  ExpectStops(kLength, 1 << 22,
              [&](Executor& executor) { WriteFirstSpikeMask(index, kLength, absl::MakeSpan(mask), executor); });
  ExpectStops(kLength, 1 << 22,
              [&](Executor& executor) { WriteFirstSpikeBitMask(index, 8 * kLength, absl::MakeSpan(mask), executor); });
}

TEST(Stopped, LookingForWhatIsNoSpike) {
  constexpr int64_t kRows = 1 << 12;
  constexpr int64_t kSteps = 1 << 12;
  RowMatrix<uint8_t> spikes = RowMatrix<uint8_t>::Zero(kRows, kSteps);
  spikes(kRows - 1, kSteps - 1) = 2;
  // Twice: found, and then told.
  ExpectStops(2 * kRows * kSteps, 1 << 19,
              [&](Executor& executor) { EXPECT_FALSE(FirstSpikeIndex(spikes, executor).ok() && !executor.Stopped()); });
}

TEST(Stopped, ThresholdsOfManyLabels) {
  constexpr int64_t kLabels = 1 << 21;
  const std::vector<double> labels(kLabels, 1);
  std::vector<float> thresholds(kLabels);
  ExpectStops(kLabels, 1 << 18, [&](Executor& executor) {
    ASSERT_TRUE(TrainingThresholds(labels, {}, absl::MakeSpan(thresholds), executor).ok());
  });
}

TEST(Stopped, ALongCode) {
  constexpr int64_t kOnes = 1 << 23;
  std::vector<float> code(kOnes);
  // Zeros, in bytes; then ones.
  ExpectStops(5 * kOnes, 1 << 20, [&](Executor& executor) {
    EXPECT_TRUE(RedundantOneHot<float>({0}, 1, kOnes, absl::MakeSpan(code), executor).ok());
  });
}

TEST(Stopped, ClustersOfFewNeuronsAndManySteps) {
  constexpr int64_t kSteps = 1 << 19;
  constexpr int64_t kNeurons = 16;
  const RowMatrix<float> v = Numbers<float>(kSteps, kNeurons);
  const float threshold[] = {0.5f};
  SpikeClusterOptions options;
  for (const int64_t t_in : {int64_t{3}, kSteps}) {
    options.t_in = t_in;
    ExpectStops(kSteps * kNeurons, 1 << 18,
                [&](Executor& executor) { (void)SpikeCluster<float>(v, threshold, options, executor); });
    ExpectStops(kSteps * kNeurons, 1 << 18, [&](Executor& executor) {
      auto scan = SpikeClusterScan<float>::Create(kNeurons, threshold, options, executor);
      if (!scan.ok() || !scan->Add(v.topRows(kSteps / 2), executor).ok()) return;
      if (!scan->Add(v.bottomRows(kSteps / 2), executor).ok()) return;
      (void)scan->Finish(executor);
    });
  }
}

TEST(Stopped, ClustersOfVeryManyNeurons) {
  constexpr int64_t kNeurons = 1 << 21;
  const RowMatrix<float> v = RowMatrix<float>::Zero(1, kNeurons);
  const std::vector<float> threshold(kNeurons, 1.0f);
  // 29 blocks of 512 neurons make a task. Thresholds are checked and copied, results filled.
  ExpectStops(kNeurons / (29 * 512) + 5 * kNeurons / (1 << 20), 1,
              [&](Executor& executor) { (void)SpikeCluster<float>(v, threshold, SpikeClusterOptions(), executor); });
}

// Shared by no two samples.
RowMatrix<uint8_t> Labels(int64_t samples, int64_t classes) {
  RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Zero(samples, classes);
  for (int64_t i = 0; i < samples; ++i) labels(i, i) = 1;
  return labels;
}

TEST(Stopped, ALossOfVeryManyClasses) {
  constexpr int64_t kSamples = 64;
  constexpr int64_t kClasses = 1 << 18;
  const RowMatrix<uint8_t> labels = Labels(kSamples, kClasses);
  const BitMatrix spikes = Bits(kSamples, 64);
  ExpectStops(kSamples * kClasses, 1 << 18, [&](Executor& executor) {
    (void)SpikeSimilarLoss<float>(spikes, labels, LinearKernel{}, LossType::kMse, std::nullopt, executor);
  });
  // Packed, and compared for all pairs, a byte for eight of them.
  ExpectStops(kSamples * kClasses + kSamples * kSamples * kClasses / 8, 1 << 21, [&](Executor& executor) {
    auto scan = SpikeSimilarLossScan::Create(labels, LinearKernel{}, LossType::kMse, executor);
    if (scan.ok() && scan->Add(spikes, executor).ok()) (void)scan->Finish(executor);
  });
}

TEST(Stopped, ATableOfALoss) {
  constexpr int64_t kFeatures = 1 << 14;
  BitMatrix spikes(200, kFeatures);
  for (int64_t r = 0; r < 200; ++r) std::fill_n(spikes.row(r), kFeatures / 8, 0xff);
  const RowMatrix<uint8_t> labels = Labels(200, 200);
  ExpectStops(2 * kFeatures, 1 << 10, [&](Executor& executor) {
    (void)SpikeSimilarLoss<float>(spikes, labels, GaussianKernel{100}, LossType::kMse, std::nullopt, executor);
  });
}

TEST(Stopped, TheGradientOfALossOfVeryManyFeatures) {
  constexpr int64_t kSamples = 16;
  constexpr int64_t kFeatures = 1 << 20;
  const RowMatrix<uint8_t> labels = Labels(kSamples, kSamples);
  const BitMatrix bits = Bits(kSamples, kFeatures);
  RowMatrix<float> grad(kSamples, kFeatures);
  ExpectStops(kSamples * kFeatures, 400'000, [&](Executor& executor) {
    (void)SpikeSimilarLoss<float>(bits, labels, LinearKernel{}, LossType::kMse, MutableMatrixView<float>(grad),
                                  executor);
  });
  const RowMatrix<double> features = Numbers<double>(kSamples, kFeatures / 4);
  RowMatrix<double> grad_features(kSamples, kFeatures / 4);
  auto scan = SpikeSimilarLossScan::Create(labels, LinearKernel{}, LossType::kMse);
  ASSERT_TRUE(scan.ok() && scan->Add(features).ok() && scan->Finish().ok());
  // Turned around, and multiplied.
  ExpectStops(kSamples * kFeatures / 4, 2600,
              [&](Executor& executor) { ASSERT_TRUE(scan->Gradient(features, grad_features, executor).ok()); });
}

TEST(Stopped, OperandsThatAreLaidOut) {
  constexpr int64_t kDepth = 1 << 19;
  const RowMatrix<float> x = Numbers<float>(1, kDepth), y = Numbers<float>(17, kDepth);
  RowMatrix<float> ret(1, 17);
  ExpectStops(32 * kDepth, kPanelElements, [&](Executor& executor) {
    const auto operand = KernelOperand<float>::Create(y, GaussianKernel{1}, executor);
    if (operand.ok()) (void)operand->Multiply(x, ret, executor);
  });
}

}  // namespace
}  // namespace spikeserve

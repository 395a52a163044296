// What the tests of the compute functions share.

#ifndef SPIKESERVE_TESTS_LIB_COMPUTE_TEST_UTIL_H_
#define SPIKESERVE_TESTS_LIB_COMPUTE_TEST_UTIL_H_

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"
#include "support/golden.h"

namespace spikeserve::testing {

// Sizes at and beside those where blocks, tiles and vector registers end.
inline constexpr int kSizes[] = {0, 1, 2, 3, 7, 13, 31, 64, 65, 127};

// Gives single indices to several threads, in whatever order they come; finer than the grain, so that small operands
// are split, too.
class SplitExecutor : public Executor {
 public:
  void ParallelFor(int64_t count, int64_t /*grain*/,
                   absl::FunctionRef<void(int64_t begin, int64_t end)> body) override {
    std::atomic<int64_t> next = 0;
    const auto work = [&] {
      for (int64_t i; (i = next++) < count;) body(i, i + 1);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
  }
};

inline RowMatrix<float> RandomSpikes(int64_t rows, int64_t cols, double rate, uint32_t seed) {
  std::mt19937 random(seed);
  std::bernoulli_distribution spike(rate);
  return RowMatrix<float>::NullaryExpr(rows, cols, [&] { return spike(random) ? 1.0f : 0.0f; });
}

template <typename Scalar>
RowMatrix<Scalar> RandomNormal(int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<Scalar> normal;
  return RowMatrix<Scalar>::NullaryExpr(rows, cols, [&] { return normal(random); });
}

inline Kernel KernelOf(const GoldenCase& golden) {
  const nlohmann::json& params = golden.params;
  if (params.contains("d")) return PolynomialKernel{params["d"]};
  if (params.contains("alpha")) return SigmoidKernel{params["alpha"]};
  if (params.contains("sigma")) return GaussianKernel{params["sigma"]};
  return LinearKernel{};
}

// The definition of the kernels, in double.
inline double NaiveKernel(const Kernel& kernel, const Eigen::RowVectorXd& x, const Eigen::RowVectorXd& y) {
  double product = 0;
  double distance2 = 0;
  for (Eigen::Index k = 0; k < x.size(); ++k) {
    product += x[k] * y[k];
    distance2 += (x[k] - y[k]) * (x[k] - y[k]);
  }
  if (const auto* polynomial = std::get_if<PolynomialKernel>(&kernel)) return std::pow(product, polynomial->d);
  if (const auto* sigmoid = std::get_if<SigmoidKernel>(&kernel)) return 1 / (1 + std::exp(-sigmoid->alpha * product));
  if (const auto* gaussian = std::get_if<GaussianKernel>(&kernel)) {
    return std::exp(-distance2 / (2 * gaussian->sigma * gaussian->sigma));
  }
  return product;
}

// The tolerance for floats: no larger an error against `exact`, an evaluation in double, than twice that of the
// reference, or 1e-6 relative, whichever is larger.
inline ::testing::AssertionResult IsWithinTolerance(double got, double reference, double exact) {
  const double allowed = std::max(2 * std::abs(reference - exact), 1e-6 * std::abs(exact));
  if (std::abs(got - exact) <= allowed) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << got << " where the reference has " << reference << " and double precision "
                                       << exact;
}

// The message of a refusal, after a check of its code and of the field it blames.
inline std::string Refusal(const absl::Status& status, const std::string& field) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status), field) << status;
  return std::string(status.message());
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_LIB_COMPUTE_TEST_UTIL_H_

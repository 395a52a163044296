#include "kernel_function.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "simd/kernel_values.h"
#include "stop_check.h"
#include "tile_grid.h"

namespace spikeserve {
namespace {

void Evaluate(const LinearKernel&, double* /*values*/, int64_t /*count*/) {}

void Evaluate(const PolynomialKernel& kernel, double* values, int64_t count) {
  if (kernel.d == 1) return;
  if (kernel.d == 2) {
    for (int64_t i = 0; i < count; ++i) values[i] *= values[i];
  } else if (kernel.d == 3) {
    for (int64_t i = 0; i < count; ++i) values[i] *= values[i] * values[i];
  } else {
    for (int64_t i = 0; i < count; ++i) values[i] = std::pow(values[i], kernel.d);
  }
}

void Evaluate(const SigmoidKernel& kernel, double* values, int64_t count) {
  simd::Sigmoids(kernel.alpha, values, count);
}

void Evaluate(const GaussianKernel& kernel, double* values, int64_t count) {
  // Dividing twice, because sigma * sigma is 0 for a small sigma; for one so small or large, distances are divided.
  double scale = -0.5 / kernel.sigma / kernel.sigma;
  if (!std::isnormal(scale)) {
    for (int64_t i = 0; i < count; ++i) values[i] = values[i] / kernel.sigma / kernel.sigma;
    scale = -0.5;
  }
  simd::ScaledExponentials(scale, values, count);
}

void Slopes(const LinearKernel&, const double* /*arguments*/, const double* /*values*/, int64_t count, double* slopes) {
  std::fill_n(slopes, count, 1.0);
}

void Slopes(const PolynomialKernel& kernel, const double* arguments, const double* /*values*/, int64_t count,
            double* slopes) {
  if (kernel.d == 0) {
    std::fill_n(slopes, count, 0.0);
    return;
  }
  std::copy_n(arguments, count, slopes);
  Evaluate(PolynomialKernel{kernel.d - 1}, slopes, count);
  for (int64_t i = 0; i < count; ++i) slopes[i] *= kernel.d;
}

void Slopes(const SigmoidKernel& kernel, const double* /*arguments*/, const double* values, int64_t count,
            double* slopes) {
  for (int64_t i = 0; i < count; ++i) slopes[i] = kernel.alpha * values[i] * (1 - values[i]);
}

void Slopes(const GaussianKernel& kernel, const double* arguments, const double* values, int64_t count,
            double* slopes) {
  for (int64_t i = 0; i < count; ++i) slopes[i] = arguments[i] == 0 ? 0 : values[i] / kernel.sigma / kernel.sigma;
}

}  // namespace

void EvaluateKernel(const Kernel& kernel, double* values, int64_t count) {
  std::visit([&](const auto& kind) { Evaluate(kind, values, count); }, kernel);
}

void EvaluateSlopes(const Kernel& kernel, const double* arguments, const double* values, int64_t count,
                    double* slopes) {
  std::visit([&](const auto& kind) { Slopes(kind, arguments, values, count, slopes); }, kernel);
}

std::vector<double> KernelTable(const Kernel& kernel, int64_t max, Executor& executor) {
  // The multiplications of floats that take as long as a value.
  constexpr double kCost = 1000;
  std::vector<double> values = Filled(max + 1, 0.0, executor);
  executor.ParallelFor(max + 1, Grain(kCost), [&](int64_t begin, int64_t end) {
    std::iota(values.begin() + begin, values.begin() + end, static_cast<double>(begin));
    EvaluateKernel(kernel, values.data() + begin, end - begin);
  });
  return values;
}

}  // namespace spikeserve

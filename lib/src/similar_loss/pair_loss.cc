#include "similar_loss/pair_loss.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <variant>

#include "absl/strings/str_cat.h"
#include "kernel_function.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

// What is added to the product of the norms by which the linear kernel is divided.
constexpr double kLinearOffset = 1e-8;

double ClampedLog(double x) { return std::max(std::log(x), -100.0); }

// Losses between a similarity p and the wanted one, q, which is 0 or 1, and their derivatives with respect to p.
struct Mse {
  static double Value(double p, double q) { return (p - q) * (p - q); }
  static double Slope(double p, double q) { return 2 * (p - q); }
};

struct L1 {
  static double Value(double p, double q) { return std::abs(p - q); }
  static double Slope(double p, double q) { return static_cast<double>(p > q) - static_cast<double>(p < q); }
};

struct Bce {
  static double Value(double p, double q) { return -ClampedLog(q == 1 ? p : 1 - p); }
  // The lower bound is PyTorch's.
  static double Slope(double p, double q) { return (p - q) / std::max(p * (1 - p), 1e-12); }
};

// The derivative of p with respect to x_i: self * x_i + other * x_j.
struct Derivative {
  double self;
  double other;
};

// `norm_i` and `norm_j` are |x_i| and |x_j|.
Derivative DerivativeOf(const LinearKernel&, double p, double /*product*/, double norm_i, double norm_j) {
  const double scale = norm_i * norm_j + kLinearOffset;
  return {norm_i > 0 ? -p * norm_j / (scale * norm_i) : 0, 1 / scale};
}

Derivative DerivativeOf(const PolynomialKernel& kernel, double /*p*/, double product, double, double) {
  return {0, kernel.d == 0 ? 0 : kernel.d * std::pow(product, kernel.d - 1)};
}

Derivative DerivativeOf(const SigmoidKernel& kernel, double p, double /*product*/, double, double) {
  return {0, kernel.alpha * p * (1 - p)};
}

Derivative DerivativeOf(const GaussianKernel& kernel, double p, double distance, double, double) {
  const double pull = distance == 0 ? 0 : p / kernel.sigma / kernel.sigma;
  return {-pull, pull};
}

// What a loss makes of a similarity.
template <class Loss>
double Accepted(double p) {
  return std::is_same_v<Loss, Bce> ? std::clamp(p, 0.0, 1.0) : p;
}

template <class Loss>
void EvaluateLosses(const int32_t* shared, int64_t count, PairTerms& terms) {
  for (int64_t i = 0; i < count; ++i) {
    terms.loss[i] = Loss::Value(Accepted<Loss>(terms.similarity[i]), static_cast<double>(shared[i] != 0));
  }
}

template <class Loss, class Kind>
void EvaluateDerivatives(const Kind& kind, const double* arguments, const int32_t* shared, const double* norms,
                         double norm, int64_t count, PairTerms& terms) {
  for (int64_t i = 0; i < count; ++i) {
    const double p = terms.similarity[i];
    const double slope = Loss::Slope(Accepted<Loss>(p), static_cast<double>(shared[i] != 0));
    const Derivative derivative = DerivativeOf(kind, p, arguments[i], norms[i], norm);
    terms.self[i] = slope * derivative.self;
    terms.other[i] = slope * derivative.other;
  }
}

template <class Loss>
void Evaluate(const Kernel& kernel, const double* arguments, const int32_t* shared, const double* norms, double norm,
              int64_t count, bool gradient, PairTerms& terms) {
  EvaluateLosses<Loss>(shared, count, terms);
  if (!gradient) return;
  std::visit([&](const auto& kind) { EvaluateDerivatives<Loss>(kind, arguments, shared, norms, norm, count, terms); },
             kernel);
}

}  // namespace

void EvaluatePairs(const Kernel& kernel, LossType loss_type, const double* arguments, const int32_t* shared,
                   const double* norms, double norm, int64_t count, bool gradient, PairTerms& terms) {
  if (std::holds_alternative<LinearKernel>(kernel)) {
    for (int64_t i = 0; i < count; ++i) terms.similarity[i] = arguments[i] / (norms[i] * norm + kLinearOffset);
  } else {
    std::copy_n(arguments, count, terms.similarity);
    EvaluateKernel(kernel, terms.similarity, count);
  }
  switch (loss_type) {
    case LossType::kMse:
      return Evaluate<Mse>(kernel, arguments, shared, norms, norm, count, gradient, terms);
    case LossType::kL1:
      return Evaluate<L1>(kernel, arguments, shared, norms, norm, count, gradient, terms);
    case LossType::kBce:
      return Evaluate<Bce>(kernel, arguments, shared, norms, norm, count, gradient, terms);
  }
}

absl::Status OutsideError(int64_t i, int64_t j, double similarity) {
  return InvalidField(
      "loss_type",
      absl::StrCat("binary cross entropy with a similarity of ", similarity, " of samples ", i, " and ", j),
      "similarities in [0, 1]");
}

}  // namespace spikeserve

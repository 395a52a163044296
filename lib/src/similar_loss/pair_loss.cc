#include "similar_loss/pair_loss.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "absl/strings/str_cat.h"
#include "kernel_function.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

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

Derivative DerivativeOf(const PolynomialKernel& kernel, double /*p*/, double product) {
  return {0, kernel.d == 0 ? 0 : kernel.d * std::pow(product, kernel.d - 1)};
}

Derivative DerivativeOf(const SigmoidKernel& kernel, double p, double /*product*/) {
  return {0, kernel.alpha * p * (1 - p)};
}

Derivative DerivativeOf(const GaussianKernel& kernel, double p, double distance) {
  const double pull = distance == 0 ? 0 : p / kernel.sigma / kernel.sigma;
  return {-pull, pull};
}

template <class Loss, class Kind>
void Evaluate(const Kind& kind, const double* arguments, const int32_t* shared, const double* norms, double norm,
              int64_t count, PairTerms& terms) {
  for (int64_t i = 0; i < count; ++i) {
    Derivative derivative;
    if constexpr (std::is_same_v<Kind, LinearKernel>) {
      const double scale = norms[i] * norm + 1e-8;
      const double p = arguments[i] / scale;
      terms.similarity[i] = p;
      derivative = {norms[i] > 0 ? -p * norm / (scale * norms[i]) : 0, 1 / scale};
    } else {
      derivative = DerivativeOf(kind, terms.similarity[i], arguments[i]);
    }
    double p = terms.similarity[i];
    if constexpr (std::is_same_v<Loss, Bce>) p = std::clamp(p, 0.0, 1.0);
    const double q = shared[i] != 0 ? 1 : 0;
    const double slope = Loss::Slope(p, q);
    terms.loss[i] = Loss::Value(p, q);
    terms.self[i] = slope * derivative.self;
    terms.other[i] = slope * derivative.other;
  }
}

}  // namespace

void EvaluatePairs(const Kernel& kernel, LossType loss_type, const double* arguments, const int32_t* shared,
                   const double* norms, double norm, int64_t count, PairTerms& terms) {
  std::copy_n(arguments, count, terms.similarity);
  EvaluateKernel(kernel, terms.similarity, count);
  std::visit(
      [&](const auto& kind) {
        switch (loss_type) {
          case LossType::kMse:
            return Evaluate<Mse>(kind, arguments, shared, norms, norm, count, terms);
          case LossType::kL1:
            return Evaluate<L1>(kind, arguments, shared, norms, norm, count, terms);
          case LossType::kBce:
            return Evaluate<Bce>(kind, arguments, shared, norms, norm, count, terms);
        }
      },
      kernel);
}

absl::Status OutsideError(int64_t i, int64_t j, double similarity) {
  return InvalidField(
      "loss_type",
      absl::StrCat("binary cross entropy with a similarity of ", similarity, " of samples ", i, " and ", j),
      "similarities in [0, 1]");
}

}  // namespace spikeserve

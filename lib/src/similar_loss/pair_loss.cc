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

// The derivatives of the similarities with respect to x_i are self * x_i + other * x_j; with `norms` and `norm` as
// EvaluatePairs has them.
void EvaluateDerivatives(const Kernel& kernel, const double* arguments, const double* norms, double norm, int64_t count,
                         PairTerms& terms) {
  if (std::holds_alternative<LinearKernel>(kernel)) {
    for (int64_t i = 0; i < count; ++i) {
      const double scale = norms[i] * norm + kLinearOffset;
      terms.self[i] = norms[i] > 0 ? -terms.similarity[i] * norm / (scale * norms[i]) : 0;
      terms.other[i] = 1 / scale;
    }
    return;
  }
  EvaluateSlopes(kernel, arguments, terms.similarity, count, terms.other);
  const bool distances = TakesDistance(kernel);
  for (int64_t i = 0; i < count; ++i) terms.self[i] = distances ? -terms.other[i] : 0;
}

// Takes derivatives of the similarities to those of the losses.
template <class Loss>
void MultiplyBySlopes(const int32_t* shared, int64_t count, PairTerms& terms) {
  for (int64_t i = 0; i < count; ++i) {
    const double slope = Loss::Slope(Accepted<Loss>(terms.similarity[i]), static_cast<double>(shared[i] != 0));
    terms.self[i] *= slope;
    terms.other[i] *= slope;
  }
}

template <class Loss>
void Evaluate(const Kernel& kernel, const double* arguments, const int32_t* shared, const double* norms, double norm,
              int64_t count, bool gradient, PairTerms& terms) {
  EvaluateLosses<Loss>(shared, count, terms);
  if (!gradient) return;
  EvaluateDerivatives(kernel, arguments, norms, norm, count, terms);
  MultiplyBySlopes<Loss>(shared, count, terms);
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

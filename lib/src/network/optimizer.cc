#include "spikeserve/compute/optimizer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "network/learning.h"
#include "scratch.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

absl::Status CheckRange(const char* field, double value, double below, const char* needed) {
  if (value >= 0 && value < below && std::isfinite(static_cast<float>(value))) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value), needed);
}

constexpr double kNoBound = std::numeric_limits<double>::infinity();
constexpr const char* kNotNegative = "a finite float32 >= 0";
constexpr const char* kFraction = "a number in [0, 1)";

absl::Status Check(const Sgd& sgd) {
  if (absl::Status s = CheckRange("optimizer.sgd.learning_rate", sgd.learning_rate, kNoBound, kNotNegative); !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckRange("optimizer.sgd.momentum", sgd.momentum, 1, kFraction); !s.ok()) return s;
  return CheckRange("optimizer.sgd.weight_decay", sgd.weight_decay, kNoBound, kNotNegative);
}

absl::Status Check(const Adam& adam) {
  if (absl::Status s = CheckRange("optimizer.adam.learning_rate", adam.learning_rate, kNoBound, kNotNegative);
      !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckRange("optimizer.adam.beta1", adam.beta1, 1, kFraction); !s.ok()) return s;
  if (absl::Status s = CheckRange("optimizer.adam.beta2", adam.beta2, 1, kFraction); !s.ok()) return s;
  const float epsilon = static_cast<float>(adam.epsilon);
  if (!(epsilon > 0) || !std::isfinite(epsilon)) {
    return InvalidField("optimizer.adam.epsilon", absl::StrCat(adam.epsilon), "a finite float32 > 0");
  }
  return CheckRange("optimizer.adam.weight_decay", adam.weight_decay, kNoBound, kNotNegative);
}

// A parameter's element and the optimiser's memory of it, before a step and after.
struct Element {
  float w;
  float first;
  float second;
};

class SgdStep {
 public:
  static constexpr bool kHasSecond = false;
  SgdStep(const Sgd& sgd, int64_t)
      : learning_rate_(static_cast<float>(sgd.learning_rate)),
        momentum_(static_cast<float>(sgd.momentum)),
        weight_decay_(static_cast<float>(sgd.weight_decay)) {}

  Element operator()(Element e, float g) const {
    e.first = momentum_ * e.first + (g + weight_decay_ * e.w);
    e.w -= learning_rate_ * e.first;
    return e;
  }

 private:
  const float learning_rate_, momentum_, weight_decay_;
};

class AdamStep {
 public:
  static constexpr bool kHasSecond = true;
  AdamStep(const Adam& adam, int64_t k)
      : keep_(static_cast<float>(1 - adam.learning_rate * adam.weight_decay)),
        beta1_(static_cast<float>(adam.beta1)),
        beta2_(static_cast<float>(adam.beta2)),
        rest1_(static_cast<float>(1 - adam.beta1)),
        rest2_(static_cast<float>(1 - adam.beta2)),
        rate_(static_cast<float>(adam.learning_rate / (1 - std::pow(adam.beta1, static_cast<double>(k))))),
        scale_(static_cast<float>(1 / std::sqrt(1 - std::pow(adam.beta2, static_cast<double>(k))))),
        epsilon_(static_cast<float>(adam.epsilon)) {}

  Element operator()(Element e, float g) const {
    e.first = beta1_ * e.first + rest1_ * g;
    e.second = beta2_ * e.second + rest2_ * g * g;
    e.w = e.w * keep_ - rate_ * e.first / (std::sqrt(e.second) * scale_ + epsilon_);
    return e;
  }

 private:
  const float keep_, beta1_, beta2_, rest1_, rest2_, rate_, scale_, epsilon_;
};

absl::Status NotFinite(const char* what, const std::string& parameter, const char* advice) {
  return FieldError(absl::StatusCode::kFailedPrecondition, what, absl::StrCat("not finite for ", parameter), advice);
}

// What a step makes of one parameter; nothing has changed yet.
struct Updated {
  ScratchFloats w, first, second;
  bool finite_gradient = true;
  bool finite_result = true;
};

template <typename Step>
Updated Try(absl::Span<const float> w, const std::vector<float>& gradient, const std::vector<float>& first,
            const std::vector<float>* second, const Step& step, Executor& executor) {
  Updated updated{ScratchFloats(w.size()), ScratchFloats(w.size()), ScratchFloats(second == nullptr ? 0 : w.size())};
  std::atomic<bool> finite_gradient = true, finite_result = true;
  executor.ParallelFor(static_cast<int64_t>(w.size()), kElementGrain / 4, [&](int64_t begin, int64_t end) {
    // These stay 0: only a number that is not finite times 0 is not.
    float gradients = 0, results = 0;
    for (int64_t k = begin; k < end; ++k) {
      Element e{w[k], first[k], 0};
      if constexpr (Step::kHasSecond) e.second = (*second)[k];
      e = step(e, gradient[k]);
      updated.w[k] = e.w;
      updated.first[k] = e.first;
      if constexpr (Step::kHasSecond) updated.second[k] = e.second;
      gradients += gradient[k] * 0.0f;
      results += e.w * 0.0f + e.first * 0.0f + e.second * 0.0f;
    }
    if (gradients != 0) finite_gradient = false;
    if (results != 0) finite_result = false;
  });
  updated.finite_gradient = finite_gradient;
  updated.finite_result = finite_result;
  return updated;
}

template <typename Step>
absl::Status Update(const Layers& layers, const ParameterNumbers& gradients, const Step& step, OptimizerMemory& memory,
                    Executor& executor, absl::FunctionRef<absl::Status()> wanted) {
  std::vector<Updated> all;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::vector<Parameter> parameters = layers[i]->Parameters();
    for (size_t p = 0; p < parameters.size(); ++p) {
      all.push_back(Try(parameters[p].values, gradients[i][p], memory.first[i][p],
                        memory.second.empty() ? nullptr : &memory.second[i][p], step, executor));
      if (absl::Status status = wanted(); !status.ok()) return status;
      if (all.back().finite_gradient && all.back().finite_result) continue;
      const std::string name = absl::StrCat(layers[i]->name(), ".", parameters[p].name);
      return all.back().finite_gradient ? NotFinite("optimizer", name, "a smaller step: nothing was changed")
                                        : NotFinite("gradients", name, "finite ones: nothing was changed");
    }
  }
  auto updated = all.begin();
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::vector<Parameter> parameters = layers[i]->Parameters();
    for (size_t p = 0; p < parameters.size(); ++p, ++updated) {
      std::copy(updated->w.begin(), updated->w.end(), parameters[p].values.begin());
      std::copy(updated->first.begin(), updated->first.end(), memory.first[i][p].begin());
      if (!memory.second.empty()) {
        std::copy(updated->second.begin(), updated->second.end(), memory.second[i][p].begin());
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckOptimizer(const Optimizer& optimizer) {
  return std::visit([](const auto& o) { return Check(o); }, optimizer);
}

absl::Status UpdateParameters(const Layers& layers, const ParameterNumbers& gradients, const Optimizer& optimizer,
                              OptimizerMemory& memory, Executor& executor, absl::FunctionRef<absl::Status()> wanted) {
  if (absl::Status status = CheckOptimizer(optimizer); !status.ok()) return status;
  OptimizerMemory fresh;
  const bool begins = !memory.optimizer.has_value() || memory.optimizer->index() != optimizer.index();
  if (begins) {
    fresh.first = ZerosFor(layers);
    if (std::holds_alternative<Adam>(optimizer)) fresh.second = ZerosFor(layers);
  }
  OptimizerMemory& used = begins ? fresh : memory;
  const int64_t k = used.steps + 1;
  absl::Status status;
  if (const auto* sgd = std::get_if<Sgd>(&optimizer)) {
    status = Update(layers, gradients, SgdStep(*sgd, k), used, executor, wanted);
  } else {
    status = Update(layers, gradients, AdamStep(std::get<Adam>(optimizer), k), used, executor, wanted);
  }
  if (!status.ok()) return status;
  if (begins) memory = std::move(fresh);
  memory.steps = k;
  memory.optimizer = optimizer;
  return absl::OkStatus();
}

}  // namespace spikeserve

// The four neurons: how each charges its voltage, and the derivatives of that.

#ifndef SPIKESERVE_SRC_NETWORK_NEURON_RULE_H_
#define SPIKESERVE_SRC_NETWORK_NEURON_RULE_H_

#include <cmath>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "network/network_layer.h"
#include "simd/neuron_step.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/layer_spec.h"

namespace spikeserve {

// w of a RifNode. In float32 throughout, and in this order, as the reference does it.
inline float RifWeight(const RifNode& node) {
  const float g = *node.g;
  if (!node.bounds) return g;
  const auto [lo, hi] = *node.bounds;
  const float sigmoid = 1.0f / (1.0f + std::exp(-g));
  if (lo == -hi) return (2.0f * sigmoid - 1.0f) * static_cast<float>(hi);
  return sigmoid * static_cast<float>(hi - lo) + static_cast<float>(lo);
}

// For each neuron: Settle fills in the learnable parameter where the specification leaves it out, CheckOwn checks the
// parameters that it alone has, Charge tells how a voltage is charged, and Learnt the parameter that is learnt with the
// derivative with respect to it.

inline void Settle(IfNode&) {}
inline void Settle(LifNode&) {}
inline void Settle(PlifNode& node) {
  if (!node.p) node.p = static_cast<float>(1.0 / node.init_tau);
}
inline void Settle(RifNode& node) {
  if (node.g) return;
  double g = node.init_w;
  if (node.bounds) g = std::log((node.init_w - node.bounds->first) / (node.bounds->second - node.init_w));
  node.g = static_cast<float>(g);
}

inline absl::Status CheckOwn(const std::string&, const IfNode&) { return absl::OkStatus(); }
inline absl::Status CheckOwn(const std::string& field, const LifNode& node) {
  return CheckTau(field + ".tau", node.tau);
}
inline absl::Status CheckOwn(const std::string& field, const PlifNode& node) {
  if (absl::Status status = CheckTau(field + ".init_tau", node.init_tau); !status.ok()) return status;
  return CheckFinite(field + ".p", *node.p);
}
inline absl::Status CheckOwn(const std::string& field, const RifNode& node) {
  if (absl::Status status = CheckFinite(field + ".init_w", node.init_w); !status.ok()) return status;
  if (node.bounds) {
    const auto [lo, hi] = *node.bounds;
    const bool finite = std::isfinite(static_cast<float>(lo)) && std::isfinite(static_cast<float>(hi)) &&
                        std::isfinite(static_cast<float>(hi - lo));
    const std::string range = absl::StrCat("(", lo, ", ", hi, ")");
    if (!finite || !(lo < hi)) return InvalidField(field + ".amplitude_range", range, "finite numbers lo < hi");
    if (!(lo < node.init_w && node.init_w < hi)) {
      return InvalidField(field + ".init_w", absl::StrCat(node.init_w), absl::StrCat("a number inside of ", range));
    }
  }
  return CheckFinite(field + ".g", *node.g);
}

inline simd::ChargeRule Charge(const IfNode&) {
  return {.kind = simd::ChargeRule::Kind::kAdd, .factor = 0, .slope_v = 1, .slope_dv = 1};
}
inline simd::ChargeRule Charge(const LifNode& node) {
  const float tau = static_cast<float>(node.tau);
  const double rate = 1 / static_cast<double>(tau);
  return {.kind = simd::ChargeRule::Kind::kLeakByTau,
          .factor = tau,
          .slope_v = static_cast<float>(1 - rate),
          .slope_dv = static_cast<float>(rate)};
}
inline simd::ChargeRule Charge(const PlifNode& node) {
  return {.kind = simd::ChargeRule::Kind::kLeakByRate, .factor = *node.p, .slope_v = 1 - *node.p, .slope_dv = *node.p};
}
inline simd::ChargeRule Charge(const RifNode& node) {
  const float w = RifWeight(node);
  if (node.rule == RifNode::Rule::kDefinition) {
    return {.kind = simd::ChargeRule::Kind::kSelfAndResidue, .factor = w, .slope_v = 1 + w, .slope_dv = 1};
  }
  return {.kind = simd::ChargeRule::Kind::kResidue, .factor = w, .slope_v = w, .slope_dv = 1};
}

// A neuron's learnt parameter: its name, its value, and whether the derivative of a charge with respect to it needs the
// input. Slope is that derivative.
struct LearntParameter {
  const char* name = nullptr;  // Null: there is none.
  float* value = nullptr;
  bool needs_input = false;
};

inline LearntParameter Learnt(IfNode&) { return {}; }
inline LearntParameter Learnt(LifNode&) { return {}; }
inline LearntParameter Learnt(PlifNode& node) { return {"p", &*node.p, /*needs_input=*/true}; }
inline LearntParameter Learnt(RifNode& node) { return {"g", &*node.g, /*needs_input=*/false}; }

template <typename Node>
inline constexpr bool kLearns = std::is_same_v<Node, PlifNode> || std::is_same_v<Node, RifNode>;

inline auto ParameterSlope(const PlifNode&) {
  return [](float v, float dv, float v_reset) { return dv - (v - v_reset); };
}
inline auto ParameterSlope(const RifNode& node) {
  float dw = 1;
  if (node.bounds) {
    const double sigmoid = 1 / (1 + std::exp(-static_cast<double>(*node.g)));
    dw = static_cast<float>(sigmoid * (1 - sigmoid) * (node.bounds->second - node.bounds->first));
  }
  return [dw](float v, float, float v_reset) { return (v - v_reset) * dw; };
}

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_NEURON_RULE_H_

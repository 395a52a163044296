// One step of many neurons, forth and back.

#ifndef SPIKESERVE_COMPUTE_SRC_SIMD_NEURON_STEP_H_
#define SPIKESERVE_COMPUTE_SRC_SIMD_NEURON_STEP_H_

#include <cstdint>

namespace spikeserve::simd {

// How a voltage v is charged by dv. Operations are rounded one by one, in the order that is written.
struct ChargeRule {
  enum class Kind {
    kAdd,             // v + dv
    kLeakByTau,       // v + (dv - (v - v_reset)) / factor
    kLeakByRate,      // v + (dv - (v - v_reset)) * factor
    kResidue,         // (v - v_reset) * factor + dv
    kSelfAndResidue,  // v + (v - v_reset) * factor + dv
  };
  Kind kind;
  float factor;
  // The derivatives with respect to v and to dv.
  float slope_v;
  float slope_dv;
};

// The derivative of a spike with respect to x = v - threshold.
struct SurrogateRule {
  enum class Kind {
    kSigmoid,            // a s(a x) (1 - s(a x)), s the logistic function
    kSignSwish,          // a (2 - a x tanh(a x / 2)) / (1 + cosh(a x))
    kBilinearLeakyRelu,  // a where |x| <= c, else b
  };
  Kind kind;
  float a;
  float b;
  float c;
};

// A neuron fires where the difference of its charged voltage and its threshold is >= 0. Its voltage is then v_reset
// after a hard reset, and that difference after a soft one.
struct NeuronRule {
  ChargeRule charge;
  float v_reset;
  bool hard_reset;
  // One for each neuron; null: `threshold` for all.
  const float* thresholds;
  float threshold;
};

struct ForwardStep {
  int64_t count;
  const float* dv;
  float* v;
  // 0 or 1.
  float* spikes;
  // May be null.
  float* v_before_reset;
  float* v_after_reset;
};
void StepForward(const NeuronRule& rule, const ForwardStep& step);

struct BackwardStep {
  int64_t count;
  const float* v_before_reset;
  const float* grad_spikes;
  // May be null: 0.
  const float* grad_v_before_reset;
  const float* grad_v_after_reset;
  // With respect to the voltages after the step; then to those before it.
  float* grad_v;
  // May be null: are not wanted. With respect to the charged voltages, and to dv.
  float* grad_charged;
  float* grad_dv;
};
// Where the surrogate's derivative is 0, voltages and thresholds may be infinite.
void StepBackward(const NeuronRule& rule, const SurrogateRule& surrogate, const BackwardStep& step);

}  // namespace spikeserve::simd

#endif  // SPIKESERVE_COMPUTE_SRC_SIMD_NEURON_STEP_H_

// Back-propagation through time: the reference's gradients, a restatement in double, and finite differences.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/backward_testing.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "lib/simd_targets.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"
#include "support/golden.h"
#include "support/golden_neuron.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::SplitExecutor;

// --- An independent restatement of a neuron and its gradient, in double, for one neuron.

struct Adjoint {
  std::vector<double> grad_dv;
  double grad_parameter = 0;
};

double RestatedSurrogate(const Surrogate& surrogate, double x) {
  if (const auto* s = std::get_if<SigmoidSurrogate>(&surrogate)) {
    const double y = 1 / (1 + std::exp(-s->alpha * x));
    return s->alpha * y * (1 - y);
  }
  if (const auto* s = std::get_if<SignSwishSurrogate>(&surrogate)) {
    const double y = s->beta * x;
    return s->beta * (2 - y * std::tanh(y / 2)) / (1 + std::cosh(y));
  }
  const auto& s = std::get<BilinearLeakyReluSurrogate>(surrogate);
  return std::abs(x) <= s.c ? s.a : s.b;
}

double RifW(const RifNode& node, double g) {
  if (!node.bounds) return g;
  return (node.bounds->second - node.bounds->first) / (1 + std::exp(-g)) + node.bounds->first;
}

// The charge of each neuron, as a function of voltage, input and learnt parameter.
using ChargeFunction = std::function<double(double v, double dv, double parameter)>;

ChargeFunction RestatedCharge(const LayerSpec& spec, double v_reset) {
  if (const auto* lif = std::get_if<LifNode>(&spec.kind)) {
    return [tau = lif->tau, v_reset](double v, double dv, double) { return v + (dv - (v - v_reset)) / tau; };
  }
  if (std::holds_alternative<PlifNode>(spec.kind)) {
    return [v_reset](double v, double dv, double p) { return v + (dv - (v - v_reset)) * p; };
  }
  if (const auto* rif = std::get_if<RifNode>(&spec.kind)) {
    return [node = *rif, v_reset](double v, double dv, double g) {
      const double residue = (v - v_reset) * RifW(node, g);
      return (node.rule == RifNode::Rule::kDefinition ? v + residue : residue) + dv;
    };
  }
  return [](double v, double dv, double) { return v + dv; };
}

double LearntParameter(const LayerSpec& spec) {
  if (const auto* plif = std::get_if<PlifNode>(&spec.kind)) return plif->p.value_or(1 / plif->init_tau);
  if (const auto* rif = std::get_if<RifNode>(&spec.kind)) {
    if (rif->g) return *rif->g;
    if (!rif->bounds) return rif->init_w;
    return std::log((rif->init_w - rif->bounds->first) / (rif->bounds->second - rif->init_w));
  }
  return 0;
}

const NeuronSpec& NeuronOf(const LayerSpec& spec) {
  return *std::visit(
      [](const auto& kind) -> const NeuronSpec* {
        if constexpr (std::is_base_of_v<NeuronSpec, std::decay_t<decltype(kind)>>) return &kind;
        return nullptr;
      },
      spec.kind);
}

// Derivatives of the charge are central differences: it is linear or nearly so in each of its arguments.
Adjoint Restate(const LayerSpec& spec, const std::vector<double>& dv, const std::vector<double>& grad_spikes) {
  const NeuronSpec& neuron = NeuronOf(spec);
  const double v_reset = neuron.v_reset.value_or(0);
  const double threshold = std::get<float>(neuron.v_threshold);
  const double parameter = LearntParameter(spec);
  const ChargeFunction charge = RestatedCharge(spec, v_reset);
  const size_t steps = dv.size();
  std::vector<double> before(steps), start(steps);
  double v = v_reset;
  for (size_t t = 0; t < steps; ++t) {
    start[t] = v;
    before[t] = charge(v, dv[t], parameter);
    const bool spike = before[t] - threshold >= 0;
    v = !spike ? before[t] : neuron.v_reset ? v_reset : before[t] - threshold;
  }
  Adjoint adjoint{std::vector<double>(steps)};
  constexpr double kStep = 1e-5;
  double grad_v = 0;
  for (size_t t = steps; t-- > 0;) {
    const double x = before[t] - threshold;
    const double spike = x >= 0 ? 1 : 0;
    const double dv_ds = neuron.v_reset ? v_reset - before[t] : -threshold;
    const double dv_du = neuron.v_reset ? 1 - spike : 1;
    const double grad_u = (grad_spikes[t] + grad_v * dv_ds) * RestatedSurrogate(neuron.surrogate, x) + grad_v * dv_du;
    const auto slope = [&](double by_v, double by_dv, double by_parameter) {
      return (charge(start[t] + by_v, dv[t] + by_dv, parameter + by_parameter) -
              charge(start[t] - by_v, dv[t] - by_dv, parameter - by_parameter)) /
             (2 * kStep);
    };
    adjoint.grad_dv[t] = grad_u * slope(0, kStep, 0);
    adjoint.grad_parameter += grad_u * slope(0, 0, kStep);
    grad_v = grad_u * slope(kStep, 0, 0);
  }
  return adjoint;
}

// --- The reference's gradients.

void ExpectTheReferences() {
  int learnt = 0;
  for (const testing::GoldenCase& golden : testing::GoldenCases("neuron")) {
    SCOPED_TRACE(golden.name);
    const LayerSpec spec = testing::GoldenNeuron(golden.params);
    Network network = MakeNetwork({spec});
    const Tensor& dv = golden.inputs.at("dv");
    const Tensor& grad_spikes = golden.inputs.at("grad_spikes");
    Trace(network, dv.values<float>(), dv.shape());
    const BackwardResult result = Back(network, grad_spikes.values<float>());
    EXPECT_EQ(result.shape, dv.shape());

    const auto reference = golden.outputs.at("grad_dv").values<float>();
    const int64_t steps = dv.shape()[0], neurons = dv.size() / steps;
    double exact_parameter = 0;
    // The rounding of one voltage is in all gradients before it: errors are judged together.
    double error = 0, reference_error = 0, largest = 1;
    for (int64_t n = 0; n < neurons; ++n) {
      std::vector<double> column(steps), grad(steps);
      for (int64_t t = 0; t < steps; ++t) {
        column[t] = dv.values<float>()[t * neurons + n];
        grad[t] = grad_spikes.values<float>()[t * neurons + n];
      }
      const Adjoint exact = Restate(spec, column, grad);
      exact_parameter += exact.grad_parameter;
      for (int64_t t = 0; t < steps; ++t) {
        const int64_t i = t * neurons + n;
        error = std::max(error, std::abs(result.grad_input[i] - exact.grad_dv[t]));
        reference_error = std::max(reference_error, std::abs(reference[i] - exact.grad_dv[t]));
        largest = std::max(largest, std::abs(exact.grad_dv[t]));
      }
    }
    EXPECT_LE(error, std::max(2 * reference_error, 1e-6 * largest));
    for (const char* name : {"grad_tau", "grad_g"}) {
      const auto found = golden.outputs.find(name);
      if (found == golden.outputs.end()) continue;
      ++learnt;
      ASSERT_THAT(network.Gradients(), SizeIs(1));
      const double got = network.Gradients()[0].values[0], wanted = found->second.values<float>()[0];
      EXPECT_NEAR(got, wanted, 1e-5 * std::max(1.0, std::abs(wanted)));
      EXPECT_NEAR(got, exact_parameter, 1e-5 * std::max(1.0, std::abs(exact_parameter)));
    }
  }
  EXPECT_GE(learnt, 10);
}

TEST(Backward, OfANeuronIsTheReferencesOnEveryTarget) { testing::ForEachTarget(ExpectTheReferences); }

// --- A network of two layers of neurons, restated in double.

// The whole forward and backward pass of Linear-LIF-Linear-PLIF with a loss that is the product of output and `grad`.
struct RestatedNetwork {
  Eigen::MatrixXd w1, w2;
  Eigen::VectorXd b1, b2;
  double tau, p;
  double alpha;

  Eigen::MatrixXd grad_w1 = Eigen::MatrixXd::Zero(w1.rows(), w1.cols());
  Eigen::MatrixXd grad_w2 = Eigen::MatrixXd::Zero(w2.rows(), w2.cols());
  Eigen::VectorXd grad_b1 = Eigen::VectorXd::Zero(b1.size());
  Eigen::VectorXd grad_b2 = Eigen::VectorXd::Zero(b2.size());
  double grad_p = 0;
  std::vector<Eigen::VectorXd> grad_x = {};

  // `x` and `grad` have a vector for each step, of one sample.
  void Run(const std::vector<Eigen::VectorXd>& x, const std::vector<Eigen::VectorXd>& grad) {
    const size_t steps = x.size();
    const auto spikes_of = [](const Eigen::VectorXd& u) { return Eigen::VectorXd((u.array() >= 1).cast<double>()); };
    std::vector<Eigen::VectorXd> u1(steps), s1(steps), i2(steps), v2_start(steps), u2(steps);
    Eigen::VectorXd v1 = Eigen::VectorXd::Zero(b1.size()), v2 = Eigen::VectorXd::Zero(b2.size());
    for (size_t t = 0; t < steps; ++t) {
      u1[t] = v1 + (w1 * x[t] + b1 - v1) / tau;
      s1[t] = spikes_of(u1[t]);
      v1 = u1[t].array() * (1 - s1[t].array());  // hard, to 0
      i2[t] = w2 * s1[t] + b2;
      v2_start[t] = v2;
      u2[t] = v2 + (i2[t] - v2) * p;
      v2 = u2[t] - spikes_of(u2[t]);  // soft
    }
    const auto slope = [&](const Eigen::VectorXd& u) {
      return Eigen::ArrayXd(
          (u.array() - 1).unaryExpr([&](double z) { return RestatedSurrogate(SigmoidSurrogate{alpha}, z); }));
    };
    grad_x.assign(steps, {});
    Eigen::ArrayXd gv1 = Eigen::ArrayXd::Zero(b1.size()), gv2 = Eigen::ArrayXd::Zero(b2.size());
    for (size_t t = steps; t-- > 0;) {
      const Eigen::ArrayXd gu2 = (grad[t].array() - gv2) * slope(u2[t]) + gv2;
      grad_p += (gu2 * (i2[t] - v2_start[t]).array()).sum();
      const Eigen::VectorXd gi2 = gu2 * p;
      gv2 = gu2 * (1 - p);
      grad_w2 += gi2 * s1[t].transpose();
      grad_b2 += gi2;
      const Eigen::ArrayXd gs1 = (w2.transpose() * gi2).array();
      const Eigen::ArrayXd gu1 = (gs1 - gv1 * u1[t].array()) * slope(u1[t]) + gv1 * (1 - s1[t].array());
      const Eigen::VectorXd gi1 = gu1 / tau;
      gv1 = gu1 * (1 - 1 / tau);
      grad_w1 += gi1 * x[t].transpose();
      grad_b1 += gi1;
      grad_x[t] = w1.transpose() * gi1;
    }
  }
};

void ExpectNear(absl::Span<const float> got, const Eigen::MatrixXd& wanted, const char* what) {
  ASSERT_EQ(static_cast<int64_t>(got.size()), wanted.size()) << what;
  const RowMatrix<double> rows = wanted;
  for (int64_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(got[i], rows.data()[i], 1e-5 * std::max(1.0, wanted.cwiseAbs().maxCoeff())) << what << " " << i;
  }
}

TEST(Backward, OfTwoLayersIsARestatementInDouble) {
  constexpr int64_t kSteps = 9, kBatch = 4;
  const TwoLayers layers;
  Network network = MakeNetwork(layers.Specs());
  const std::vector<float> input = RandomNumbers(kSteps * kBatch * 6, 13);
  std::vector<float> grad_output = RandomNumbers(kSteps * kBatch * 5, 14);
  for (float& g : grad_output) g -= 0.5f;
  const ForwardResult forward = Trace(network, input, {kSteps, kBatch, 6});
  // The case says something: the neurons fire, and not always.
  const double rate = std::accumulate(forward.output.begin(), forward.output.end(), 0.0) / (kSteps * kBatch * 5);
  ASSERT_GT(rate, 0.1);
  ASSERT_LT(rate, 0.9);
  const BackwardResult result = Back(network, grad_output);

  RestatedNetwork restated{.w1 = layers.first.weight.cast<double>(),
                           .w2 = layers.second.weight.cast<double>(),
                           .b1 = Eigen::Map<const Eigen::VectorXf>(layers.first.bias.data(), 20).cast<double>(),
                           .b2 = Eigen::Map<const Eigen::VectorXf>(layers.second.bias.data(), 5).cast<double>(),
                           .tau = layers.lif.tau,
                           .p = static_cast<float>(1 / layers.plif.init_tau),
                           .alpha = 2};
  for (int64_t b = 0; b < kBatch; ++b) {
    std::vector<Eigen::VectorXd> x, grad;
    for (int64_t t = 0; t < kSteps; ++t) {
      x.push_back(Eigen::Map<const Eigen::VectorXf>(input.data() + (t * kBatch + b) * 6, 6).cast<double>());
      grad.push_back(Eigen::Map<const Eigen::VectorXf>(grad_output.data() + (t * kBatch + b) * 5, 5).cast<double>());
    }
    restated.Run(x, grad);
    for (int64_t t = 0; t < kSteps; ++t) {
      ExpectNear(absl::MakeSpan(result.grad_input).subspan((t * kBatch + b) * 6, 6), restated.grad_x[t], "input");
    }
  }
  ExpectNear(GradientOf(network, "first", "weight"), restated.grad_w1, "first.weight");
  ExpectNear(GradientOf(network, "first", "bias"), restated.grad_b1, "first.bias");
  ExpectNear(GradientOf(network, "second", "weight"), restated.grad_w2, "second.weight");
  ExpectNear(GradientOf(network, "second", "bias"), restated.grad_b2, "second.bias");
  EXPECT_NEAR(GradientOf(network, "out", "p")[0], restated.grad_p, 1e-5 * std::max(1.0, std::abs(restated.grad_p)));
}

// --- Layers without spikes are smooth: finite differences.

// The loss of a network of smooth layers: the product of its output with `grad`, in double.
double LossOf(std::vector<LayerSpec> specs, absl::Span<const float> input, const Shape& shape,
              absl::Span<const float> grad) {
  Network network = MakeNetwork(std::move(specs));
  network.SetTraining(true);
  const ForwardResult result = Forward(network, input, shape);
  double sum = 0;
  for (size_t i = 0; i < grad.size(); ++i) sum += static_cast<double>(result.output[i]) * grad[i];
  return sum;
}

// Within what the rounding of the results and the width of the differences make.
void ExpectClose(double gradient, double difference) {
  EXPECT_NEAR(gradient, difference, 1e-3 * std::max(1.0, std::abs(difference)));
}

TEST(Backward, OfSmoothLayersIsTheFiniteDifference) {
  LowPassSynapse synapse{.tau = 3, .learnable = true};
  const auto specs = [&](float p, float w) {
    LinearLayer linear = RandomLinear(3, 4, 5);
    linear.weight(2, 1) += w;
    synapse.p = p;
    return std::vector<LayerSpec>{{.name = "synapse", .kind = synapse},
                                  {.name = "drop", .kind = Dropout{.p = 0.3, .seed = 2}},
                                  {.name = "linear", .kind = linear},
                                  {.name = "fixed", .kind = LowPassSynapse{.tau = 9}}};
  };
  const Shape shape = {5, 2, 3};
  std::vector<float> input = RandomNumbers(30, 6);
  const std::vector<float> grad = RandomNumbers(5 * 2 * 4, 7);
  Network network = MakeNetwork(specs(0.4f, 0));
  network.SetTraining(true);
  Trace(network, input, shape);
  const BackwardResult result = Back(network, grad);

  constexpr float kStep = 1.0f / 256;
  const auto difference = [](double more, double less) { return (more - less) / (2 * kStep); };
  for (size_t i = 0; i < input.size(); ++i) {
    const float x = input[i];
    input[i] = x + kStep;
    const double more = LossOf(specs(0.4f, 0), input, shape, grad);
    input[i] = x - kStep;
    const double less = LossOf(specs(0.4f, 0), input, shape, grad);
    input[i] = x;
    ExpectClose(result.grad_input[i], difference(more, less));
  }
  ExpectClose(GradientOf(network, "synapse", "p")[0], difference(LossOf(specs(0.4f + kStep, 0), input, shape, grad),
                                                                 LossOf(specs(0.4f - kStep, 0), input, shape, grad)));
  ExpectClose(
      GradientOf(network, "linear", "weight")[2 * 3 + 1],
      difference(LossOf(specs(0.4f, kStep), input, shape, grad), LossOf(specs(0.4f, -kStep), input, shape, grad)));
}

// --- Currents that stay.

TEST(Backward, OfConstantCurrentsIsThatOfAnyOthers) {
  // What is computed once for all steps, and what is computed step by step.
  constexpr int64_t kSteps = 7, kBatch = 5;
  const std::vector<float> step = RandomNumbers(kBatch * 6, 3), grad = RandomNumbers(kSteps * kBatch * 5, 4);
  std::vector<float> input;
  for (int64_t t = 0; t < kSteps; ++t) input.insert(input.end(), step.begin(), step.end());
  Network at_once = MakeNetwork(TwoLayers().Specs());
  const ForwardResult all = Trace(at_once, input, {kSteps, kBatch, 6});
  const BackwardResult wanted = Back(at_once, grad);
  Network in_steps = MakeNetwork(TwoLayers().Specs());
  std::vector<float> output;
  for (int64_t t = 0; t < kSteps; ++t) {
    const ForwardResult result = Trace(in_steps, step, {1, kBatch, 6});
    output.insert(output.end(), result.output.begin(), result.output.end());
  }
  EXPECT_EQ(output, all.output);
  const BackwardResult result = Back(in_steps, grad);
  ASSERT_EQ(result.grad_input.size(), wanted.grad_input.size());
  for (size_t i = 0; i < wanted.grad_input.size(); ++i) EXPECT_FLOAT_EQ(result.grad_input[i], wanted.grad_input[i]);
  const auto expect_close = [&](const char* layer, const char* parameter) {
    const std::vector<float> a = GradientOf(in_steps, layer, parameter), b = GradientOf(at_once, layer, parameter);
    for (size_t i = 0; i < b.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5 * std::max(1.0f, std::abs(b[i])));
  };
  expect_close("first", "weight");
  expect_close("first", "bias");
  expect_close("second", "weight");
}

}  // namespace
}  // namespace spikeserve

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

ForwardResult Trace(Network& network, absl::Span<const float> input, const Shape& shape,
                    Executor& executor = InlineExecutor()) {
  auto result = network.Forward(input, shape, {.keep_trace = true}, executor);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

BackwardResult Back(Network& network, absl::Span<const float> grad_output, Executor& executor = InlineExecutor()) {
  auto result = network.Backward({.grad_output = grad_output, .compute_grad_input = true}, executor);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

std::vector<float> GradientOf(const Network& network, std::string_view layer, std::string_view parameter) {
  for (ParameterTensor& tensor : network.Gradients()) {
    if (tensor.layer == layer && tensor.parameter == parameter) return std::move(tensor.values);
  }
  ADD_FAILURE() << "no gradient of " << layer << "." << parameter;
  return {};
}

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

struct TwoLayers {
  LinearLayer first = RandomLinear(6, 20, 11);
  LinearLayer second = RandomLinear(20, 5, 12);
  LifNode lif;
  PlifNode plif;

  TwoLayers() {
    second.weight *= 0.15f;
    lif.tau = 2.5;
    lif.surrogate = SigmoidSurrogate{2};
    plif.init_tau = 1.6;
    plif.v_reset.reset();
    plif.surrogate = SigmoidSurrogate{2};
  }
  std::vector<LayerSpec> Specs() const {
    return {{.name = "first", .kind = first},
            {.name = "hidden", .kind = lif},
            {.name = "second", .kind = second},
            {.name = "out", .kind = plif}};
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

// --- The trace.

TEST(Backward, AddsUpUntilZeroGradients) {
  Network network = MakeNetwork(TwoLayers().Specs());
  const std::vector<float> input = RandomNumbers(5 * 3 * 6, 1), grad = RandomNumbers(5 * 3 * 5, 2);
  const auto once = [&] {
    network.Reset();
    Trace(network, input, {5, 3, 6});
    Back(network, grad);
    return GradientOf(network, "second", "weight");
  };
  const std::vector<float> first = once(), second = once();
  for (size_t i = 0; i < first.size(); ++i) EXPECT_FLOAT_EQ(second[i], 2 * first[i]);
  network.ZeroGradients();
  EXPECT_EQ(once(), first);
}

TEST(Backward, ThroughStepsOfSeveralForwardsIsThatThroughAllAtOnce) {
  const std::vector<float> input = RandomNumbers(6 * 3 * 6, 1), grad = RandomNumbers(6 * 3 * 5, 2);
  Network at_once = MakeNetwork(TwoLayers().Specs());
  Trace(at_once, input, {6, 3, 6});
  const BackwardResult wanted = Back(at_once, grad);
  Network in_parts = MakeNetwork(TwoLayers().Specs());
  int64_t begin = 0;
  for (const int64_t steps : {1, 2, 3}) {
    Trace(in_parts, absl::MakeSpan(input).subspan(begin * 18, steps * 18), {steps, 3, 6});
    begin += steps;
  }
  EXPECT_EQ(in_parts.trace_steps(), 6);
  const BackwardResult got = Back(in_parts, grad);
  EXPECT_EQ(got.shape, wanted.shape);
  EXPECT_THAT(got.grad_input, ::testing::Pointwise(::testing::FloatNear(1e-6f), wanted.grad_input));
  EXPECT_THAT(GradientOf(in_parts, "first", "weight"),
              ::testing::Pointwise(::testing::FloatNear(1e-5f), GradientOf(at_once, "first", "weight")));
}

TEST(Backward, GivesTheSameBitsOnAnyExecutor) {
  // More neurons than a chunk of them, and more steps than a block.
  const Shape shape = {40, 30, 6};
  LinearLayer wide = RandomLinear(6, 600, 3);
  const std::vector<float> input = RandomNumbers(40 * 30 * 6, 1), grad = RandomNumbers(40 * 30 * 5, 2);
  const auto run = [&](Executor& executor) {
    RifNode rif;
    rif.init_w = 0.5;
    Network network = MakeNetwork({{.name = "first", .kind = wide},
                                   {.name = "rif", .kind = rif},
                                   {.name = "second", .kind = RandomLinear(600, 5, 4)},
                                   {.name = "out", .kind = PlifNode()}});
    Trace(network, input, shape, executor);
    const BackwardResult result = Back(network, grad, executor);
    std::vector<std::vector<float>> all = {result.grad_input};
    for (ParameterTensor& tensor : network.Gradients()) all.push_back(std::move(tensor.values));
    return all;
  };
  SplitExecutor split;
  EXPECT_EQ(run(split), run(InlineExecutor()));
}

TEST(Backward, TakesGradientsOfHiddenSpikesAndVoltages) {
  // A loss on the hidden layer alone is that of a network which ends there.
  const TwoLayers layers;
  std::vector<LayerSpec> hidden_only = layers.Specs();
  hidden_only.resize(2);
  Network small = MakeNetwork(hidden_only), whole = MakeNetwork(layers.Specs());
  const std::vector<float> input = RandomNumbers(5 * 3 * 6, 1), grad = RandomNumbers(5 * 3 * 20, 2);
  Trace(small, input, {5, 3, 6});
  Trace(whole, input, {5, 3, 6});
  const BackwardResult wanted = Back(small, grad);
  const LayerGradient hidden{.layer = "hidden", .spikes = grad};
  const auto got = whole.Backward({.layers = {&hidden, 1}, .compute_grad_input = true});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->grad_input, wanted.grad_input);
  EXPECT_EQ(GradientOf(whole, "first", "weight"), GradientOf(small, "first", "weight"));
  EXPECT_THAT(GradientOf(whole, "second", "weight"), ::testing::Each(0.0f));
}

TEST(Backward, OfVoltagesOfASilentNeuronIsTheFiniteDifference) {
  LifNode silent;
  silent.tau = 2;
  silent.v_threshold = 1e6f;
  silent.surrogate = SigmoidSurrogate{1};
  const Shape shape = {4, 1, 2};
  std::vector<float> input = RandomNumbers(8, 3);
  const std::vector<float> grad_before = RandomNumbers(8, 4), grad_after = RandomNumbers(8, 5);
  const auto loss = [&] {
    Network network = MakeNetwork({{.name = "n", .kind = silent}});
    const RecordRequest all{.layer = "n", .v_before_reset = true, .v_after_reset = true};
    const ForwardResult result = Forward(network, input, shape, {&all, 1});
    double sum = 0;
    for (int i = 0; i < 8; ++i) {
      sum += static_cast<double>(result.records[0].v_before_reset[i]) * grad_before[i] +
             static_cast<double>(result.records[0].v_after_reset[i]) * grad_after[i];
    }
    return sum;
  };
  Network network = MakeNetwork({{.name = "n", .kind = silent}});
  Trace(network, input, shape);
  const LayerGradient gradient{.layer = "n", .v_before_reset = grad_before, .v_after_reset = grad_after};
  const auto result = network.Backward({.layers = {&gradient, 1}, .compute_grad_input = true});
  ASSERT_TRUE(result.ok()) << result.status();
  for (int i = 0; i < 8; ++i) {
    const float x = input[i];
    input[i] = x + 0.25f;
    const double more = loss();
    input[i] = x - 0.25f;
    const double less = loss();
    input[i] = x;
    EXPECT_NEAR(result->grad_input[i], (more - less) / 0.5, 1e-5) << i;
  }
}

TEST(Backward, OfAnInfiniteThresholdIsFinite) {
  for (const bool soft : {false, true}) {
    IfNode node;
    node.v_threshold = std::numeric_limits<float>::infinity();
    if (soft) node.v_reset.reset();
    Network network = MakeNetwork({{.name = "n", .kind = node}});
    Trace(network, RandomNumbers(6, 1), {3, 1, 2});
    EXPECT_THAT(Back(network, RandomNumbers(6, 2)).grad_input, ::testing::Each(0.0f));
  }
}

TEST(Trace, GoesWithWhatEndsIt) {
  const std::vector<float> input = RandomNumbers(2 * 3 * 6, 1), grad = RandomNumbers(2 * 3 * 5, 2);
  const std::vector<std::pair<const char*, std::function<void(Network&)>>> ends = {
      {"Backward", [&](Network& n) { Back(n, grad); }},
      {"Reset", [](Network& n) { n.Reset(); }},
      {"Forward",
       [&](Network& n) {
         Forward(n, input, {2, 3, 6});
       }},
      {"SetTraining", [](Network& n) { n.SetTraining(true); }},
      {"SetThresholdMargin",
       [](Network& n) {
         const std::vector<double> one = {1};
         EXPECT_TRUE(n.SetThresholdMargin("out", one, {1}, {}).ok());
       }},
      {"ApplyGradients", [](Network& n) { EXPECT_TRUE(n.ApplyGradients(Sgd{}).ok()); }},
      {"SetState", [](Network& n) { EXPECT_TRUE(n.SetState(n.State()).ok()); }},
  };
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    Network network = MakeNetwork(TwoLayers().Specs());
    const int64_t before = network.ByteSize();
    Trace(network, input, {2, 3, 6});
    EXPECT_GT(network.trace_bytes(), 0);
    EXPECT_GT(network.ByteSize(), before + network.trace_bytes());
    end(network);
    EXPECT_EQ(network.trace_steps(), 0);
    EXPECT_EQ(network.trace_bytes(), 0);
    const auto without = network.Backward({.grad_output = grad});
    EXPECT_EQ(without.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(without.status().message()), HasSubstr("no trace"));
  }
}

TEST(Trace, TakesABitForASpikeAndNoMoreThanAnnounced) {
  // Wide steps, so that what each step or block has besides its elements is little.
  constexpr int64_t kSteps = 40, kBatch = 16, kFeatures = 512;
  Network network = MakeNetwork({{.name = "in", .kind = IfNode()}, {.name = "fc", .kind = RandomLinear(512, 8, 1)}});
  const auto announced = network.TraceByteSize({kSteps, kBatch, kFeatures});
  ASSERT_TRUE(announced.ok());
  Trace(network, RandomNumbers(kSteps * kBatch * kFeatures, 1), {kSteps, kBatch, kFeatures});
  const double elements = kSteps * kBatch * kFeatures;
  EXPECT_LE(network.trace_bytes(), *announced);
  // The voltages before the reset, and a bit for each spike.
  EXPECT_LE(network.trace_bytes(), elements * (4 + 1.0 / 8) * 1.05);
  EXPECT_GE(network.trace_bytes(), elements * (4 + 1.0 / 8));
}

TEST(Backward, BadGradientsAreRefusedAndChangeNothing) {
  Network network = MakeNetwork(TwoLayers().Specs());
  const std::vector<float> input = RandomNumbers(2 * 3 * 6, 1), grad = RandomNumbers(2 * 3 * 5, 2);
  Trace(network, input, {2, 3, 6});
  const auto refused = [&](const BackwardOptions& args) {
    const auto result = network.Backward(args);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << result.status();
    EXPECT_EQ(network.trace_steps(), 2);
    return FieldOf(result.status());
  };
  EXPECT_EQ(refused({}), "grad_output");
  EXPECT_EQ(refused({.grad_output = absl::MakeSpan(grad).first(29)}), "grad_output");
  std::vector<float> nan = grad;
  nan[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(refused({.grad_output = nan}), "grad_output");
  LayerGradient layer{.layer = "nobody", .spikes = grad};
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].layer");
  layer.layer = "second";
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].layer");
  layer.layer = "hidden";
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].grad_spikes");
  layer = {.layer = "hidden", .v_before_reset = grad};
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].grad_v_before_reset");
  layer = {.layer = "hidden", .v_after_reset = grad};
  EXPECT_EQ(refused({.layers = {&layer, 1}}), "layer_gradients[0].grad_v_after_reset");
  const LayerGradient twice[] = {{.layer = "out", .spikes = grad}, {.layer = "out", .spikes = grad}};
  EXPECT_EQ(refused({.layers = twice}), "layer_gradients[1].layer");
  EXPECT_THAT(GradientOf(network, "first", "bias"), ::testing::Each(0.0f));
}

}  // namespace
}  // namespace spikeserve

// How parameters follow their gradients.

#include "spikeserve/compute/optimizer.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "lib/simd_targets.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SplitExecutor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Fresh gradients, by back-propagation of random ones.
void Differentiate(Network& network, uint32_t seed) {
  const Shape shape = {5, 3, 6};
  network.ZeroGradients();
  network.Reset();
  const auto forward = network.Forward(RandomNumbers(5 * 3 * 6, seed), shape, {.keep_trace = true});
  ASSERT_TRUE(forward.ok()) << forward.status();
  std::vector<float> grad = RandomNumbers(5 * 3 * 8, seed + 1);
  for (float& g : grad) g -= 0.5f;
  const auto backward = network.Backward({.grad_output = grad});
  ASSERT_TRUE(backward.ok()) << backward.status();
}

// --- The formulas, in double.

// A parameter's element and what the optimiser remembers of it.
struct Exact {
  double w;
  double first = 0;
  double second = 0;
};

void Move(const Sgd& sgd, int, double g, Exact& e) {
  e.first = sgd.momentum * e.first + (g + sgd.weight_decay * e.w);
  e.w -= sgd.learning_rate * e.first;
}

void Move(const Adam& adam, int k, double g, Exact& e) {
  e.w -= adam.learning_rate * adam.weight_decay * e.w;
  e.first = adam.beta1 * e.first + (1 - adam.beta1) * g;
  e.second = adam.beta2 * e.second + (1 - adam.beta2) * g * g;
  const double m = e.first / (1 - std::pow(adam.beta1, k)), v = e.second / (1 - std::pow(adam.beta2, k));
  e.w -= adam.learning_rate * m / (std::sqrt(v) + adam.epsilon);
}

void ExpectClose(double got, double exact, double scale) { EXPECT_NEAR(got, exact, 3e-6 * scale); }

// Several steps with ever other gradients, against the formulas in double; `at(k)` is the optimiser of step k.
template <typename At>
void ExpectRestated(const At& at) {
  Network network = MakeNetwork(LearningLayers());
  std::vector<std::vector<Exact>> exact;
  for (const ParameterTensor& parameter : ParametersOf(network)) {
    exact.emplace_back(parameter.values.begin(), parameter.values.end());
  }
  ASSERT_EQ(exact.size(), 9u);
  bool moved = false;
  for (int k = 1; k <= 6; ++k) {
    SCOPED_TRACE(k);
    Differentiate(network, static_cast<uint32_t>(10 * k));
    const std::vector<ParameterTensor> gradients = network.Gradients();
    const auto optimizer = at(k);
    ASSERT_TRUE(network.ApplyGradients(optimizer).ok());
    const std::vector<ParameterTensor> parameters = ParametersOf(network);
    const OptimizerState state = network.GetOptimizerState();
    EXPECT_EQ(state.steps, k);
    ASSERT_EQ(state.first_moments.size(), exact.size());
    constexpr bool kIsAdam = std::is_same_v<decltype(optimizer), const Adam>;
    ASSERT_EQ(state.second_moments.size(), kIsAdam ? exact.size() : 0);
    for (size_t p = 0; p < exact.size(); ++p) {
      SCOPED_TRACE(parameters[p].layer + "." + parameters[p].parameter);
      EXPECT_EQ(network.Gradients()[p].values, gradients[p].values);  // They stay.
      EXPECT_EQ(state.first_moments[p].shape, gradients[p].shape);
      for (size_t i = 0; i < exact[p].size(); ++i) {
        const double g = gradients[p].values[i];
        Move(optimizer, k, g, exact[p][i]);
        moved |= g != 0;
        ExpectClose(parameters[p].values[i], exact[p][i].w, std::max(1.0, std::abs(exact[p][i].w)));
        ExpectClose(state.first_moments[p].values[i], exact[p][i].first, std::max(1.0, std::abs(exact[p][i].first)));
        if (state.second_moments.empty()) continue;
        ExpectClose(state.second_moments[p].values[i], exact[p][i].second, std::max(1.0, exact[p][i].second));
      }
    }
  }
  EXPECT_TRUE(moved);
}

TEST(Sgd, IsItsFormula) {
  ExpectRestated([](int) { return Sgd{.learning_rate = 0.05}; });
  ExpectRestated([](int) { return Sgd{.learning_rate = 0.02, .momentum = 0.9}; });
  ExpectRestated([](int) { return Sgd{.learning_rate = 0.05, .weight_decay = 0.125}; });
  ExpectRestated([](int) { return Sgd{.learning_rate = 0.02, .momentum = 0.5, .weight_decay = 0.3}; });
}

TEST(Sgd, ItsNumbersMayChangeFromStepToStep) {
  ExpectRestated([](int k) { return Sgd{.learning_rate = k == 3 ? 0 : 0.1 / k, .momentum = 0.1 * k}; });
}

TEST(Adam, IsItsFormula) {
  ExpectRestated([](int) { return Adam(); });
  ExpectRestated([](int) { return Adam{.learning_rate = 0.03, .beta1 = 0.5, .beta2 = 0.75}; });
  ExpectRestated([](int) { return Adam{.learning_rate = 0.01, .beta1 = 0, .beta2 = 0}; });
  ExpectRestated([](int) { return Adam{.learning_rate = 0.01, .epsilon = 0.1, .weight_decay = 5}; });
}

TEST(Adam, ItsNumbersMayChangeFromStepToStep) {
  ExpectRestated([](int k) { return Adam{.learning_rate = k == 3 ? 0 : 0.02 / k, .beta1 = 0.9 - 0.1 * k}; });
}

TEST(Adam, OfParametersWithoutGradientMovesNothing) {
  for (const double epsilon : {1e-8, 1e-37}) {
    Network network = MakeNetwork(LearningLayers());
    const Snapshot before = SnapshotOf(network);
    for (int k = 0; k < 3; ++k) {
      ASSERT_TRUE(network.ApplyGradients(Adam{.epsilon = epsilon}).ok());
    }
    const Snapshot after = SnapshotOf(network);
    EXPECT_EQ(after.at("parameters: first.weight"), before.at("parameters: first.weight"));
    EXPECT_EQ(after.at("parameters: rif.g"), before.at("parameters: rif.g"));
  }
}

TEST(Sgd, WithoutGradientsOnlyTheWeightsDecay) {
  Network network = MakeNetwork({{.name = "fc", .kind = RandomLinear(6, 4, 1)}});
  const std::vector<float> before = ParametersOf(network)[0].values;
  ASSERT_TRUE(network.ApplyGradients(Sgd{.learning_rate = 0.5, .weight_decay = 0.5}).ok());
  const std::vector<float> after = ParametersOf(network)[0].values;
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i], before[i] - 0.25f * before[i]);
}

// --- What is remembered.

TEST(Optimizer, OfAnotherKindBeginsAnew) {
  const Optimizer kinds[] = {Sgd{.learning_rate = 0.05, .momentum = 0.9}, Adam{.learning_rate = 0.01}};
  for (const int first : {0, 1}) {
    Network network = MakeNetwork(LearningLayers());
    for (const uint32_t seed : {1, 2}) {
      Differentiate(network, seed);
      ASSERT_TRUE(network.ApplyGradients(kinds[first]).ok());
    }
    Network fresh = MakeNetwork(network.Spec());
    for (const uint32_t seed : {3, 4}) {
      for (Network* n : {&network, &fresh}) {
        Differentiate(*n, seed);
        ASSERT_TRUE(n->ApplyGradients(kinds[1 - first]).ok());
      }
      EXPECT_EQ(SnapshotOf(network), SnapshotOf(fresh));
    }
    EXPECT_EQ(network.GetOptimizerState().steps, 2);
  }
}

TEST(Optimizer, GivesTheSameBitsOnAnyExecutorAndTarget) {
  // Of more elements than a thread takes at a time, and not a multiple of a vector's.
  const LinearLayer wide = RandomLinear(6, 2003, 1);
  const auto run = [&](const Optimizer& optimizer, Executor& executor) {
    Network network = MakeNetwork({{.name = "fc", .kind = wide}, {.name = "out", .kind = RandomLinear(2003, 3, 2)}});
    for (int k = 0; k < 3; ++k) {
      const auto forward = network.Forward(RandomNumbers(2 * 6, k), {1, 2, 6}, {.keep_trace = true});
      EXPECT_TRUE(forward.ok() && network.Backward({.grad_output = RandomNumbers(2 * 3, k + 9)}).ok());
      EXPECT_TRUE(network.ApplyGradients(optimizer, executor).ok());
    }
    return SnapshotOf(network);
  };
  for (const Optimizer& optimizer : {Optimizer(Sgd{.learning_rate = 1e-3, .momentum = 0.9, .weight_decay = 0.1}),
                                     Optimizer(Adam{.weight_decay = 0.1})}) {
    const Snapshot wanted = run(optimizer, InlineExecutor());
    testing::ForEachTarget([&] {
      SplitExecutor split;
      EXPECT_EQ(run(optimizer, split), wanted);
      EXPECT_EQ(run(optimizer, InlineExecutor()), wanted);
    });
  }
}

// --- What is refused.

TEST(Optimizer, NumbersOutOfTheirRangeAreRefusedAndChangeNothing) {
  std::vector<std::pair<Optimizer, std::string>> bad;
  for (const double x : {-1e-9, kInfinity, -kInfinity, kNan, 1e39}) {
    bad.emplace_back(Sgd{.learning_rate = x}, "optimizer.sgd.learning_rate");
    bad.emplace_back(Sgd{.weight_decay = x}, "optimizer.sgd.weight_decay");
    bad.emplace_back(Adam{.learning_rate = x}, "optimizer.adam.learning_rate");
    bad.emplace_back(Adam{.weight_decay = x}, "optimizer.adam.weight_decay");
  }
  for (const double x : {-1e-9, 1.0, 2.0, kInfinity, kNan}) {
    bad.emplace_back(Sgd{.momentum = x}, "optimizer.sgd.momentum");
    bad.emplace_back(Adam{.beta1 = x}, "optimizer.adam.beta1");
    bad.emplace_back(Adam{.beta2 = x}, "optimizer.adam.beta2");
  }
  // The last one is 0 as a float32, and 0 / 0 would be added to each weight without a gradient.
  for (const double x : {0.0, -1e-8, kInfinity, kNan, 1e-46}) {
    bad.emplace_back(Adam{.epsilon = x}, "optimizer.adam.epsilon");
  }
  Network network = MakeNetwork(LearningLayers());
  Differentiate(network, 1);
  ASSERT_TRUE(network.ApplyGradients(Adam()).ok());
  ASSERT_TRUE(network.Forward(RandomNumbers(3 * 6, 1), {1, 3, 6}, {.keep_trace = true}).ok());
  const Snapshot before = SnapshotOf(network);
  for (const auto& [optimizer, field] : bad) {
    testing::Refusal(CheckOptimizer(optimizer), field);
    testing::Refusal(network.ApplyGradients(optimizer), field);
    EXPECT_EQ(SnapshotOf(network), before);
  }
}

TEST(Optimizer, TheEdgesOfTheRangesAreTaken) {
  EXPECT_TRUE(CheckOptimizer(Sgd{.learning_rate = 0, .momentum = 0, .weight_decay = 0}).ok());
  EXPECT_TRUE(CheckOptimizer(Sgd{.learning_rate = 3e38, .momentum = std::nextafter(1.0, 0)}).ok());
  EXPECT_TRUE(CheckOptimizer(Adam{.learning_rate = 0, .beta1 = 0, .beta2 = 0, .epsilon = 1e-37}).ok());
  EXPECT_TRUE(CheckOptimizer(Adam{.beta1 = std::nextafter(1.0, 0), .beta2 = std::nextafter(1.0, 0)}).ok());
}

// Two layers; the step of the second one fails.
Network TwoLinears() {
  return MakeNetwork(
      {{.name = "first", .kind = RandomLinear(6, 4, 1)}, {.name = "second", .kind = RandomLinear(4, 2, 2)}});
}

// The message of a failed step that has changed nothing.
std::string Failure(Network& network, const Optimizer& optimizer, const std::string& field) {
  const Snapshot before = SnapshotOf(network);
  SplitExecutor split;
  for (Executor* executor : {&InlineExecutor(), static_cast<Executor*>(&split)}) {
    const absl::Status status = network.ApplyGradients(optimizer, *executor);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(FieldOf(status), field) << status;
    EXPECT_EQ(SnapshotOf(network), before);
  }
  return std::string(network.ApplyGradients(optimizer).message());
}

TEST(Optimizer, AGradientThatIsNotFiniteEndsTheStepBeforeIt) {
  for (const Optimizer& optimizer : {Optimizer(Sgd{.learning_rate = 0}), Optimizer(Adam())}) {
    Network network = TwoLinears();
    ASSERT_TRUE(network.ApplyGradients(optimizer).ok());
    // Finite, but not their sum over the samples, which is the gradient of the second bias.
    ASSERT_TRUE(network.Forward(std::vector<float>(2 * 6), {1, 2, 6}, {.keep_trace = true}).ok());
    ASSERT_TRUE(network.Backward({.grad_output = {3e38f, 0.0f, 3e38f, 0.0f}}).ok());
    ASSERT_THAT(ValuesOf(network.Gradients(), "second", "bias"), ::testing::Contains(kInfinity));
    EXPECT_THAT(Failure(network, optimizer, "gradients"), HasSubstr("not finite for"));
  }
}

TEST(Optimizer, AParameterThatWouldNotBeFiniteEndsTheStepBeforeIt) {
  Network network = TwoLinears();
  std::vector<ParameterTensor> gradients = network.Gradients();
  gradients.back().values[1] = -2;  // Of the second bias.
  ASSERT_TRUE(network.SetGradients(gradients).ok());
  ASSERT_TRUE(network.ApplyGradients(Sgd{.learning_rate = 1e-3, .momentum = 0.5}).ok());
  EXPECT_THAT(Failure(network, Sgd{.learning_rate = 3e38}, "optimizer"), HasSubstr("second.bias"));
  EXPECT_THAT(Failure(network, Sgd{.learning_rate = 1e-3, .weight_decay = 3e38}, "optimizer"),
              HasSubstr("first.weight"));
  // An optimiser of another kind, which has not begun after that.
  EXPECT_THAT(Failure(network, Adam{.learning_rate = 1e38}, "optimizer"), HasSubstr("not finite"));
  EXPECT_TRUE(std::holds_alternative<Sgd>(*network.GetOptimizerState().optimizer));
}

TEST(Optimizer, AMomentThatWouldNotBeFiniteEndsTheStepBeforeIt) {
  Network network = TwoLinears();
  std::vector<ParameterTensor> gradients = network.Gradients();
  gradients.back().values[1] = 1e25f;  // Its square is beyond float32.
  ASSERT_TRUE(network.SetGradients(gradients).ok());
  EXPECT_THAT(Failure(network, Adam(), "optimizer"), HasSubstr("second.bias"));
  EXPECT_FALSE(network.GetOptimizerState().optimizer.has_value());
  EXPECT_THAT(network.GetOptimizerState().first_moments, IsEmpty());
}

}  // namespace
}  // namespace spikeserve

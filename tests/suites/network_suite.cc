// Networks that the service holds, over every transport.

#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "suites/transport.h"
#include "support/golden.h"
#include "support/golden_neuron.h"

namespace spikeserve::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class NetworkSuite : public TransportTest {};
SPIKESERVE_OVER_ALL_TRANSPORTS(NetworkSuite);

std::vector<LayerSpec> OneNeuron() { return {{.name = "out", .kind = IfNode{}}}; }

// A step of shape [batch, 1].
RowMatrix<float> Step(int batch, float value) { return RowMatrix<float>::Constant(batch, 1, value); }

TEST_P(NetworkSuite, NeuronsAgreeWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("neuron")) {
    const auto network = client().CreateNetwork({testing::GoldenNeuron(c.params)});
    ASSERT_TRUE(network.ok()) << c.name << ": " << network.status();
    const auto result = network->Forward(
        {.input = c.inputs.at("dv"), .records = {{.layer = "0", .spikes = true, .v_after_reset = true}}});
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    EXPECT_EQ(result->output.dtype(), DataType::kBool);
    EXPECT_EQ(result->output.shape(), c.outputs.at("spikes").shape());
    EXPECT_EQ(result->output.ToDoubles(), c.outputs.at("spikes").ToDoubles()) << c.name;
    EXPECT_EQ(result->records[0].spikes->ToDoubles(), c.outputs.at("spikes").ToDoubles()) << c.name;
    EXPECT_EQ(result->records[0].v_after_reset->shape(), c.outputs.at("v_after_step").shape());
    const auto got = result->records[0].v_after_reset->ToDoubles(), want = c.outputs.at("v_after_step").ToDoubles();
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6) << c.name << " element " << i;
  }
}

TEST_P(NetworkSuite, LowPassSynapseAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("low_pass_synapse")) {
    const auto network = client().CreateNetwork({{.kind = LowPassSynapse{c.params["tau"]}}});
    ASSERT_TRUE(network.ok()) << network.status();
    const auto result = network->Forward({.input = c.inputs.at("in_spikes")});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->output.dtype(), DataType::kFloat32);
    EXPECT_EQ(result->output.ToDoubles(), c.outputs.at("out_i").ToDoubles()) << c.name;
  }
}

TEST_P(NetworkSuite, StateStaysFromCallToCallUntilReset) {
  const auto network = client().CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok()) << network.status();
  const RowMatrix<float> half = Step(1, 0.5);
  const ForwardArgs args{.input = half, .single_step = true};
  EXPECT_THAT(network->Forward(args)->output.values<bool>(), ElementsAre(false));
  EXPECT_THAT(network->Forward(args)->output.values<bool>(), ElementsAre(true));
  EXPECT_THAT(network->Forward(args)->output.values<bool>(), ElementsAre(false));
  ASSERT_TRUE(network->Reset().ok());
  EXPECT_THAT(network->Forward(args)->output.values<bool>(), ElementsAre(false));
}

TEST_P(NetworkSuite, ASingleStepHasNoDimensionOfTime) {
  const auto network = client().CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok());
  const RowMatrix<float> step = Step(3, 2);
  const auto result =
      network->Forward({.input = step, .single_step = true, .records = {{.layer = "out", .v_before_reset = true}}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.shape(), Shape({3, 1}));
  EXPECT_EQ(result->records[0].v_before_reset->shape(), Shape({3, 1}));
  EXPECT_FALSE(result->records[0].spikes.has_value());
}

TEST_P(NetworkSuite, AStepOfAnotherBatchIsRefusedWithoutResetAndChangesNothing) {
  const auto network = client().CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok());
  const RowMatrix<float> two = Step(2, 0.5), three = Step(3, 0.5);
  ASSERT_TRUE(network->Forward({.input = two, .single_step = true}).ok());
  const absl::Status status = network->Forward({.input = three, .single_step = true}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(FieldOf(status), "input");
  EXPECT_THAT(std::string(status.message()), HasSubstr("3"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("2"));
  // The next step of the right batch fires, as if nothing had been in between.
  EXPECT_THAT(network->Forward({.input = two, .single_step = true})->output.values<bool>(), ElementsAre(true, true));
  ASSERT_TRUE(network->Reset().ok());
  EXPECT_TRUE(network->Forward({.input = three, .single_step = true}).ok());
}

TEST_P(NetworkSuite, TheThresholdMarginIsSetInTrainingAndInEvaluation) {
  const auto network = client().CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok());
  RowMatrix<float> labels(2, 1);
  labels << 0, 1;
  ASSERT_TRUE(network->SetTraining(true).ok());
  const auto training = network->SetThresholdMargin({.layer = "out", .label_one_hot = labels});
  ASSERT_TRUE(training.ok()) << training.status();
  EXPECT_EQ(training->v_threshold.shape(), Shape({2, 1}));
  EXPECT_THAT(training->v_threshold.values<float>(), ElementsAre(0.9f, 1.1f));
  const RowMatrix<float> one = Step(2, 1);
  EXPECT_THAT(network->Forward({.input = one, .single_step = true})->output.values<bool>(), ElementsAre(true, false));
  ASSERT_TRUE(network->Reset().ok());  // Thresholds stay.
  EXPECT_THAT(network->Forward({.input = one, .single_step = true})->output.values<bool>(), ElementsAre(true, false));

  ASSERT_TRUE(network->SetTraining(false).ok());
  const auto evaluation = network->SetThresholdMargin({.layer = "out", .label_one_hot = labels});
  ASSERT_TRUE(evaluation.ok());
  EXPECT_EQ(evaluation->v_threshold.shape(), Shape());
  ASSERT_TRUE(network->Reset().ok());
  EXPECT_THAT(network->Forward({.input = one, .single_step = true})->output.values<bool>(), ElementsAre(true, true));

  const absl::Status unknown = network->SetThresholdMargin({.layer = "in", .label_one_hot = labels}).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(unknown), "layer");
}

TEST_P(NetworkSuite, ANetworkMadeFromAnothersLayersBehavesTheSame) {
  RowMatrix<float> weight = RowMatrix<float>::Random(4, 3);
  std::vector<LayerSpec> layers = {
      {.name = "in", .kind = LinearLayer{weight, {0.1f, 0.2f, -0.3f, 0}}},
      {.kind = LifNode{{.v_threshold = 0.5f, .v_reset = std::nullopt, .surrogate = SignSwishSurrogate{3}}, 7}},
      {.kind = PlifNode{{}, 3, 0.4f}},
      {.kind = RifNode{{.v_reset = 0.25f}, 0.1, std::pair{-0.5, 0.75}, std::nullopt, RifNode::Rule::kDefinition}},
      {.kind = LowPassSynapse{5}},
      {.kind = Dropout{0.25, 42}}};
  const auto first = client().CreateNetwork(layers);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->SetTraining(true).ok());
  const auto got = first->Get();
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->training);
  ASSERT_EQ(got->layers.size(), 6u);
  EXPECT_EQ(got->layers[0].name, "in");
  EXPECT_EQ(got->layers[1].name, "1");
  const auto second = client().CreateNetwork(got->layers);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(second->SetTraining(true).ok());
  const std::vector<float> values(10 * 2 * 3, 0.9f);
  const TensorView input(absl::MakeConstSpan(values), {10, 2, 3});
  const auto a = first->Forward({.input = input}), b = second->Forward({.input = input});
  ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
  EXPECT_EQ(a->output.shape(), Shape({10, 2, 4}));
  EXPECT_EQ(a->output.ToDoubles(), b->output.ToDoubles());
}

// Convolution, neurons, a pool, normalisation, and neurons that tell two classes apart, on [batch, 2, 6, 6].
std::vector<LayerSpec> PlaneLayers() {
  const auto random = [](int64_t size) {
    const RowMatrix<float> values = RowMatrix<float>::Random(1, size);
    return std::vector<float>(values.data(), values.data() + size);
  };
  return {
      {.name = "conv",
       .kind =
           Conv2d{
               .weight_shape = {4, 1, 3, 2}, .weight = random(24), .bias = random(4), .padding = {1, 0}, .groups = 2}},
      {.kind = LifNode{{.v_threshold = 0.5f}, 2}},
      {.name = "synapse", .kind = LowPassSynapse{.tau = 3, .learnable = true}},
      {.kind = MaxPool2d{.kernel = {2, 3}, .stride = Extent{2, 1}}},
      {.name = "norm", .kind = BatchNorm2d{.num_features = 4, .momentum = 0.25}},
      {.kind = AvgPool2d{.kernel = {2, 1}, .padding = {1, 0}, .count_include_pad = false}},
      {.kind = Flatten{}},
      {.name = "fc", .kind = LinearLayer{RowMatrix<float>::Random(2, 24), {}}},
      {.name = "out", .kind = IfNode{}}};
}

TEST_P(NetworkSuite, LayersOnPlanesAreTheLibrarysWhenTheyRunAndWhenTheyLearn) {
  const std::vector<LayerSpec> layers = PlaneLayers();
  auto local = Network::Create(layers);
  ASSERT_TRUE(local.ok()) << local.status();
  const auto remote = client().CreateNetwork(layers);
  ASSERT_TRUE(remote.ok()) << remote.status();

  const RowMatrix<float> values = RowMatrix<float>::Random(5 * 3, 2 * 6 * 6);
  const Shape shape = {5, 3, 2, 6, 6};
  const absl::Span<const float> input(values.data(), static_cast<size_t>(values.size()));
  const auto expect_the_same_output = [&] {
    const auto want = local->Forward(input, shape);
    const auto got = remote->Forward({.input = TensorView(input, shape)});
    ASSERT_TRUE(want.ok() && got.ok()) << want.status() << got.status();
    EXPECT_EQ(got->output.shape(), (Shape{5, 3, 2}));
    EXPECT_EQ(got->output.ToDoubles(), std::vector<double>(want->output.begin(), want->output.end()));
    local->Reset();
    ASSERT_TRUE(remote->Reset().ok());
  };
  expect_the_same_output();

  const TrainStepOptions options{
      .optimizer = Sgd{.learning_rate = 0.5}, .num_classes = 2, .losses = {{.kind = RateLoss{}}}};
  const std::vector<int64_t> labels = {0, 1, 1};
  for (int i = 0; i < 3; ++i) {
    const auto want = local->TrainStep(input, shape, labels, options);
    const auto got = remote->TrainStep({.input = TensorView(input, shape), .labels = labels, .options = options});
    ASSERT_TRUE(want.ok() && got.ok()) << want.status() << got.status();
    EXPECT_EQ(got->loss, want->loss);
  }
  expect_the_same_output();

  const auto got = remote->Get();
  ASSERT_TRUE(got.ok()) << got.status();
  const std::vector<LayerSpec> want = local->Spec();
  ASSERT_EQ(got->layers.size(), want.size());
  const auto& conv = std::get<Conv2d>(got->layers[0].kind);
  EXPECT_EQ(conv.weight_shape, (Shape{4, 1, 3, 2}));
  EXPECT_EQ(conv.weight, std::get<Conv2d>(want[0].kind).weight);
  EXPECT_NE(conv.weight, std::get<Conv2d>(layers[0].kind).weight);
  EXPECT_EQ(conv.bias, std::get<Conv2d>(want[0].kind).bias);
  const auto& synapse = std::get<LowPassSynapse>(got->layers[2].kind);
  EXPECT_TRUE(synapse.learnable);
  EXPECT_EQ(synapse.p, std::get<LowPassSynapse>(want[2].kind).p);
  EXPECT_NE(synapse.p, static_cast<float>(1.0 / 3));
  const auto& norm = std::get<BatchNorm2d>(got->layers[4].kind);
  EXPECT_EQ(norm.running_mean, std::get<BatchNorm2d>(want[4].kind).running_mean);
  EXPECT_EQ(norm.running_var, std::get<BatchNorm2d>(want[4].kind).running_var);
  EXPECT_NE(norm.running_var, std::vector<float>(4, 1.0f));

  // The layers that were given back make the same network.
  const auto copy = client().CreateNetwork(got->layers);
  ASSERT_TRUE(copy.ok()) << copy.status();
  const auto of_copy = copy->Forward({.input = TensorView(input, shape)});
  const auto of_local = local->Forward(input, shape);
  ASSERT_TRUE(of_copy.ok() && of_local.ok()) << of_copy.status();
  EXPECT_EQ(of_copy->output.ToDoubles(), std::vector<double>(of_local->output.begin(), of_local->output.end()));
}

TEST_P(NetworkSuite, AShapeThatALayerCannotTakeNamesTheLayerAndChangesNothing) {
  const auto network = client().CreateNetwork(PlaneLayers());
  ASSERT_TRUE(network.ok()) << network.status();
  const std::vector<float> values(2 * 6 * 1);
  const auto narrow = network->Forward({.input = TensorView(absl::MakeConstSpan(values), {1, 1, 2, 6, 1})});
  EXPECT_EQ(narrow.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(narrow.status()), "input");
  EXPECT_THAT(std::string(narrow.status().message()), HasSubstr("layer \"conv\" (layers[0].conv2d)"));
  EXPECT_EQ(network->Get()->next_step, 0u);
}

TEST_P(NetworkSuite, LengthsThatTheWireCannotSayAreRefused) {
  for (const Extent stride : {Extent{int64_t{1} << 31, 1}, Extent{1, (int64_t{1} << 32) + 1}}) {
    const auto network = client().CreateNetwork({{.kind = MaxPool2d{.kernel = {2, 2}, .stride = stride}}});
    EXPECT_EQ(FieldOf(network.status()), "layers[0].max_pool2d.stride") << network.status();
  }
}

TEST_P(NetworkSuite, MonitorsKeepEveryStepUntilReset) {
  const auto network = client().CreateNetwork({{.name = "m", .kind = IfNode{{.monitor = true}}}});
  ASSERT_TRUE(network.ok());
  const RowMatrix<float> step = Step(1, 0.6);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(network->Forward({.input = step, .single_step = true}).ok());
  const auto got = network->Get(/*include_monitors=*/true);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->monitors.size(), 1u);
  EXPECT_EQ(got->monitors[0].layer, "m");
  EXPECT_EQ(got->monitors[0].spikes->shape(), Shape({3, 1, 1}));
  EXPECT_THAT(got->monitors[0].spikes->values<bool>(), ElementsAre(false, true, false));
  EXPECT_THAT(got->monitors[0].v_before_reset->values<float>(), ElementsAre(0.6f, 1.2f, 0.6f));
  ASSERT_TRUE(network->Reset().ok());
  EXPECT_EQ(network->Get(true)->monitors[0].spikes->size(), 0);
  EXPECT_TRUE(network->Get(false)->monitors.empty());
}

TEST_P(NetworkSuite, AHandleDeletesItsNetworkUnlessReleased) {
  std::string released, deleted;
  {
    auto a = client().CreateNetwork(OneNeuron()), b = client().CreateNetwork(OneNeuron());
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a->name().size(), 32u);
    EXPECT_NE(a->name(), b->name());
    released = a->name();
    deleted = b->name();
    a->Release();
    EXPECT_EQ(client().ListNetworks()->size(), 2u);
  }
  const auto left = client().ListNetworks();
  ASSERT_TRUE(left.ok());
  ASSERT_EQ(left->size(), 1u);
  EXPECT_EQ((*left)[0].network, released);
  EXPECT_GT((*left)[0].bytes, 0);
  NetworkHandle attached = client().AttachNetwork(released);
  EXPECT_TRUE(attached.Get().ok());
  EXPECT_TRUE(attached.Delete().ok());
  EXPECT_EQ(attached.Delete().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client().AttachNetwork(deleted).Get().status().code(), absl::StatusCode::kNotFound);
}

TEST_P(NetworkSuite, HandlesThatGoInCallbacksDeleteTheirNetworks) {
  constexpr int kHandles = 32;
  server::EngineOptions options;
  options.threads = 1;
  Transport transport(GetParam(), options);
  const Client client = transport.client();
  const auto gone = std::make_shared<std::latch>(kHandles);
  for (int i = 0; i < kHandles; ++i) {
    auto network = client.CreateNetwork(OneNeuron());
    ASSERT_TRUE(network.ok()) << network.status();
    auto* kept = new NetworkHandle(*std::move(network));
    client.Start<ListNetworksArgs>({}, {}, [kept, gone](const auto&) {
      delete kept;
      gone->count_down();
    });
  }
  gone->wait();
  // That was not waited for.
  while (!client.ListNetworks()->empty()) absl::SleepFor(absl::Milliseconds(1));
}

TEST_P(NetworkSuite, ARepeatedStepIsCarriedOutOnceAndAWrongOneIsRefused) {
  const auto network = client().CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok());
  const RowMatrix<float> half = Step(1, 0.5);
  ForwardArgs args{.input = half, .single_step = true, .step = 0};
  ASSERT_EQ(network->Forward(args)->next_step, 1u);
  args.step = 1;
  const auto first = network->Forward(args), again = network->Forward(args);
  ASSERT_TRUE(first.ok() && again.ok()) << again.status();
  EXPECT_THAT(first->output.values<bool>(), ElementsAre(true));
  EXPECT_THAT(again->output.values<bool>(), ElementsAre(true));
  EXPECT_EQ(again->next_step, 2u);
  for (uint64_t wrong : {uint64_t{0}, uint64_t{3}, ~uint64_t{0}}) {
    args.step = wrong;
    const absl::Status status = network->Forward(args).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(FieldOf(status), "step");
    EXPECT_THAT(std::string(status.message()), HasSubstr("2"));
  }
  EXPECT_EQ(network->Get()->next_step, 2u);
}

TEST_P(NetworkSuite, CallsOnOneNetworkAreCarriedOutOneAfterTheOther) {
  // Each call adds 1/4 four times; were two to run at once, additions or spikes would be lost.
  const auto network = client().CreateNetwork(OneNeuron());
  ASSERT_TRUE(network.ok());
  const std::vector<float> quarter(4, 0.25f);
  const TensorView input(absl::MakeConstSpan(quarter), {4, 1, 1});
  std::atomic<int> spikes = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto result = network->Forward({.input = input});
        ASSERT_TRUE(result.ok()) << result.status();
        for (const bool s : result->output.values<bool>()) spikes += s;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(spikes, 200);
  EXPECT_EQ(network->Get()->next_step, 200u);
}

TEST_P(NetworkSuite, AnIdleNetworkExpires) {
  static std::atomic<int64_t> now_seconds;
  now_seconds = 1'000'000;
  server::EngineOptions options;
  options.limits.network_idle_timeout = absl::Seconds(10);
  options.clock = [] { return absl::FromUnixSeconds(now_seconds); };
  Transport transport(GetParam(), options);
  auto used = transport.client().CreateNetwork(OneNeuron()), idle = transport.client().CreateNetwork(OneNeuron());
  ASSERT_TRUE(used.ok() && idle.ok());
  now_seconds += 6;
  EXPECT_TRUE(used->Get().ok());
  now_seconds += 6;
  EXPECT_TRUE(used->Get().ok());
  const absl::Status expired = idle->Get().status();
  EXPECT_EQ(expired.code(), absl::StatusCode::kNotFound) << expired;
  EXPECT_THAT(std::string(expired.message()), HasSubstr("expired"));
}

TEST_P(NetworkSuite, LimitsOnNetworksAreKeptAndNamed) {
  server::EngineOptions options;
  options.limits.max_networks = 2;
  options.limits.max_network_bytes = 100'000;
  Transport transport(GetParam(), options);
  const Client client = transport.client();
  const auto huge = client.CreateNetwork({{.kind = LinearLayer{RowMatrix<float>::Zero(200, 200), {}}}});
  EXPECT_EQ(huge.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(huge.status().message()), HasSubstr("--max-network-bytes"));
  auto a = client.CreateNetwork(OneNeuron()), b = client.CreateNetwork(OneNeuron());
  ASSERT_TRUE(a.ok() && b.ok());
  const auto third = client.CreateNetwork(OneNeuron());
  EXPECT_EQ(third.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(third.status().message()), HasSubstr("--max-networks"));
  const RowMatrix<float> large = Step(50'000, 1);
  const absl::Status state = a->Forward({.input = large, .single_step = true}).status();
  EXPECT_EQ(state.code(), absl::StatusCode::kResourceExhausted) << state;
  EXPECT_THAT(std::string(state.message()), HasSubstr("--max-network-bytes"));
  EXPECT_TRUE(a->Forward({.input = Step(10, 1), .single_step = true}).ok());
  ASSERT_TRUE(b->Delete().ok());
  EXPECT_TRUE(client.CreateNetwork(OneNeuron()).ok());
}

}  // namespace
}  // namespace spikeserve::testing

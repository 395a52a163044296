// Bad arguments of training over every transport: each gets its code and a message that names the field, what came and
// what is needed, and the network is as it was.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/training.pb.h"
#include "suites/bad_input_testing.h"

namespace spikeserve::testing {
namespace {

using ::testing::HasSubstr;

#define FLOATS(lengths, numbers) "{ dtype: DATA_TYPE_FLOAT32 shape: [" lengths "] values: [" numbers "] } "
#define ONES_2 "1, 1"
#define ONES_4 "1, 1, 1, 1"
#define ONES_6 ONES_4 ", " ONES_2
#define ONES_8 ONES_4 ", " ONES_4

// Three features, four hidden neurons, two classes.
constexpr const char* kNetwork = "layers { name: 'fc' linear { weight " FLOATS("4, 3", ONES_8 ", " ONES_4) "} } "
                                 "layers { name: 'hidden' plif_node {} } "
                                 "layers { name: 'second' linear { weight " FLOATS("2, 4", ONES_8) "} } "
                                 "layers { name: 'out' if_node {} } ";

class BadTrainingSuite : public BadInputTest {
 protected:
  void SetUp() override {
    network_ = Create();
    // A trace of two steps of a batch of one, gradients, and an optimiser's memory.
    Expect("Forward", kForward);
    ASSERT_TRUE(Call("SpikeTrainingService/Backward", Named("grad_output " FLOATS("2, 1, 2", ONES_4))).ok());
    ASSERT_TRUE(Call("SpikeTrainingService/ApplyGradients", Named("optimizer { adam {} }")).ok());
    Expect("Forward", kForward);
  }

  std::string Create() {
    v1::CreateNetworkResponse response;
    const absl::Status status = Call("SpikeNetworkService/CreateNetwork", kNetwork, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response.network();
  }

  // Every case is one of a method of SpikeTrainingService, on the network.
  void ExpectRefusedAndUnchanged(const std::vector<BadCase>& cases) {
    const std::string before = Everything();
    for (BadCase c : cases) {
      c.method = "SpikeTrainingService/" + c.method;
      c.request = Named(c.request);
      ExpectRefused({c});
      EXPECT_EQ(Everything(), before) << c.request;
    }
    // The trace is still there.
    EXPECT_TRUE(Call("SpikeTrainingService/Backward", Named("grad_output " FLOATS("2, 1, 2", ONES_4))).ok());
  }

  std::string Named(const std::string& request) const { return "network: '" + network_ + "' " + request; }

  // All that can be seen of the network.
  std::string Everything() {
    v1::GetNetworkResponse network;
    const absl::Status got =
        Call("SpikeNetworkService/GetNetwork",
             Named("include_state: true include_optimizer_state: true include_gradients: true"), &network);
    EXPECT_TRUE(got.ok()) << got;
    v1::ListNetworksResponse networks;
    const absl::Status listed = Call("SpikeNetworkService/ListNetworks", "", &networks);
    EXPECT_TRUE(listed.ok()) << listed;
    return network.SerializeAsString() + std::to_string(networks.networks(0).bytes());
  }

  static constexpr const char* kForward = "keep_trace: true input " FLOATS("2, 1, 3", ONES_6);

  void Expect(const std::string& method, const std::string& request) {
    const absl::Status status = Call("SpikeNetworkService/" + method, Named(request));
    ASSERT_TRUE(status.ok()) << status;
  }

  std::string network_;
};
SPIKESERVE_OVER_ALL_TRANSPORTS(BadTrainingSuite);

TEST_P(BadTrainingSuite, BackwardWithoutATraceIsRefused) {
  Expect("ResetNet", "");
  const absl::Status status = Call("SpikeTrainingService/Backward", Named("grad_output " FLOATS("2, 1, 2", ONES_4)));
  EXPECT_EQ(status.code(), kPrecondition) << status;
  EXPECT_EQ(FieldOf(status), "network");
  EXPECT_THAT(std::string(status.message()), HasSubstr("no trace"));
}

#define HIDDEN "layer_gradients { layer: 'hidden' "

TEST_P(BadTrainingSuite, BadGradientsAreRefused) {
  ExpectRefusedAndUnchanged({
      {"Backward", "", kInvalid, "grad_output", {"absent"}},
      {"Backward", "grad_output " FLOATS("1, 2, 2", ONES_4), kInvalid, "grad_output", {"[1, 2, 2]", "[2, 1, 2]"}},
      {"Backward", "grad_output " FLOATS("2, 2, 1", ONES_4), kInvalid, "grad_output", {"[2, 2, 1]", "[2, 1, 2]"}},
      {"Backward", "grad_output " FLOATS("2, 2", ONES_4), kInvalid, "grad_output", {"[2, 2]", "[2, 1, 2]"}},
      {"Backward", "grad_output " FLOATS("2, 1, 1", ONES_2), kInvalid, "grad_output", {"[2, 1, 1]", "[2, 1, 2]"}},
      {"Backward", "grad_output " FLOATS("2, 0, 2", ""), kInvalid, "grad_output", {"[2, 0, 2]", "[2, 1, 2]"}},
      {"Backward", "grad_output " FLOATS("2, 1, 2", "1, 1, nan, 1"), kInvalid, "grad_output", {"NaN at element 2"}},
      {"Backward", "grad_output { shape: [2, 1, 2] values: [1, 1, 1, 1] }", kInvalid, "grad_output.dtype", {}},
      {"Backward", "layer_gradients { layer: 'nobody' }", kInvalid, "layer_gradients[0].layer", {"nobody"}},
      {"Backward", "layer_gradients { }", kInvalid, "layer_gradients[0].layer", {"\"\""}},
      {"Backward", "layer_gradients { layer: 'fc' }", kInvalid, "layer_gradients[0].layer", {"fc", "spiking"}},
      {"Backward", HIDDEN "} " HIDDEN "}", kInvalid, "layer_gradients[1].layer", {"again", "once"}},
      {"Backward",
       HIDDEN "grad_spikes " FLOATS("2, 1, 2", ONES_4) "}",
       kInvalid,
       "layer_gradients[0].grad_spikes",
       {"[2, 1, 2]", "[2, 1, 4]"}},
      {"Backward",
       "layer_gradients { layer: 'out' } " HIDDEN "grad_v_before_reset " FLOATS("1, 2, 4", ONES_8) "}",
       kInvalid,
       "layer_gradients[1].grad_v_before_reset",
       {"[1, 2, 4]", "[2, 1, 4]"}},
      {"Backward",
       HIDDEN "grad_v_after_reset " FLOATS("8", ONES_8) "}",
       kInvalid,
       "layer_gradients[0].grad_v_after_reset",
       {"[8]", "[2, 1, 4]"}},
      {"Backward",
       HIDDEN "grad_spikes " FLOATS("2, 1, 4", ONES_6 ", nan, 1") "}",
       kInvalid,
       "layer_gradients[0].grad_spikes",
       {"NaN at element 6"}},
      {"Backward",
       HIDDEN "grad_v_before_reset " FLOATS("2, 1, 4", ONES_6 ", nan, 1") "}",
       kInvalid,
       "layer_gradients[0].grad_v_before_reset",
       {"NaN at element 6"}},
      {"Backward",
       HIDDEN "grad_v_after_reset " FLOATS("2, 1, 4", ONES_6 ", nan, 1") "}",
       kInvalid,
       "layer_gradients[0].grad_v_after_reset",
       {"NaN at element 6"}},
      {"Backward",
       HIDDEN "grad_spikes { dtype: DATA_TYPE_FLOAT32 shape: [2, 1, 4] data: '1' } }",
       kInvalid,
       "layer_gradients[0].grad_spikes.data",
       {"1 bytes", "32 bytes"}},
      // Two tensors of a gigabyte each, of next to no bytes on the wire.
      {"Backward",
       HIDDEN "grad_spikes { dtype: DATA_TYPE_BIT shape: [16384, 16384] } "
              "grad_v_before_reset { dtype: DATA_TYPE_BIT shape: [16384, 16384] } }",
       kExhausted,
       "layer_gradients",
       {"2147483648", "--max-decoded-bytes"}},
  });
}

// Each optimiser that is out of its range, and the field that is, behind "optimizer.".
struct BadOptimizer {
  const char* optimizer;
  const char* field;
  const char* says;
};

const std::vector<BadOptimizer>& BadOptimizers() {
  static const auto& optimizers = *new std::vector<BadOptimizer>{
      {"", "kind", "absent"},
      {"sgd { learning_rate: -0.1 }", "sgd.learning_rate", "-0.1"},
      {"sgd { learning_rate: nan }", "sgd.learning_rate", "nan"},
      {"sgd { learning_rate: inf }", "sgd.learning_rate", "inf"},
      {"sgd { momentum: 1 }", "sgd.momentum", "[0, 1)"},
      {"sgd { momentum: -0.5 }", "sgd.momentum", "-0.5"},
      {"sgd { momentum: nan }", "sgd.momentum", "nan"},
      {"sgd { weight_decay: -1 }", "sgd.weight_decay", "-1"},
      {"sgd { weight_decay: inf }", "sgd.weight_decay", "inf"},
      {"adam { learning_rate: -0.1 }", "adam.learning_rate", "-0.1"},
      {"adam { learning_rate: nan }", "adam.learning_rate", "nan"},
      {"adam { learning_rate: inf }", "adam.learning_rate", "inf"},
      {"adam { beta1: 1 }", "adam.beta1", "[0, 1)"},
      {"adam { beta1: -0.5 }", "adam.beta1", "-0.5"},
      {"adam { beta2: 1.5 }", "adam.beta2", "1.5"},
      {"adam { beta2: nan }", "adam.beta2", "nan"},
      {"adam { epsilon: 0 }", "adam.epsilon", "> 0"},
      {"adam { epsilon: inf }", "adam.epsilon", "inf"},
      {"adam { weight_decay: -1 }", "adam.weight_decay", "-1"},
      {"adam { weight_decay: nan }", "adam.weight_decay", "nan"},
  };
  return optimizers;
}

#define INPUT "input " FLOATS("2, 1, 3", ONES_6)
#define LABELS "labels { dtype: DATA_TYPE_INT64 shape: 1 values: 1 } num_classes: 2 "
#define SGD "optimizer { sgd {} } "
#define RATE "losses { rate {} } "

TEST_P(BadTrainingSuite, BadOptimizersAreRefused) {
  std::vector<BadCase> cases = {{"ApplyGradients", "", kInvalid, "optimizer.kind", {"absent"}},
                                {"TrainStep", INPUT LABELS RATE, kInvalid, "optimizer.kind", {"absent"}}};
  for (const BadOptimizer& bad : BadOptimizers()) {
    const std::string optimizer = std::string("optimizer { ") + bad.optimizer + " } ";
    const std::string field = std::string("optimizer.") + bad.field;
    cases.push_back({"ApplyGradients", optimizer, kInvalid, field, {bad.says}});
    cases.push_back({"TrainStep", INPUT LABELS RATE + optimizer, kInvalid, field, {bad.says}});
  }
  ExpectRefusedAndUnchanged(cases);
}

TEST_P(BadTrainingSuite, BadBatchesAreRefused) {
  const auto with_input = [](const std::string& input) { return input + " " LABELS RATE SGD; };
  const auto with_labels = [](const std::string& labels) { return labels + " " INPUT RATE SGD; };
  ExpectRefusedAndUnchanged({
      {"TrainStep", LABELS RATE SGD, kInvalid, "input", {"absent"}},
      {"TrainStep", with_input("input " FLOATS("2, 1, 3", "1, 1, 1, 1, nan, 1")), kInvalid, "input", {"NaN", "4"}},
      {"TrainStep", with_input("input " FLOATS("2, 1, 4", ONES_8)), kInvalid, "input", {"[1, 4]", "[batch, 3]"}},
      {"TrainStep", with_input("input " FLOATS("6", ONES_6)), kInvalid, "input", {"[6]", "[T, batch, features ...]"}},
      {"TrainStep", with_input("input " FLOATS("0, 1, 3", "")), kInvalid, "input", {"[0, 1, 3]", "at least one step"}},
      {"TrainStep", with_input("input " FLOATS("2, 0, 3", "")), kInvalid, "input", {"[2, 0, 3]", "at least one step"}},
      {"TrainStep", with_input("repeat_input: 0 input " FLOATS("1, 3", "1, 1, 1")), kInvalid, "repeat_input", {"0"}},
      {"TrainStep", with_input("repeat_input: -3 input " FLOATS("1, 3", "1, 1, 1")), kInvalid, "repeat_input", {"-3"}},
      {"TrainStep",
       with_input("repeat_input: 4611686018427387904 input " FLOATS("1, 3", "1, 1, 1")),
       kExhausted,
       "repeat_input",
       {"4611686018427387904", "--max-decoded-bytes"}},
      {"TrainStep",
       with_input("repeat_input: 4611686018427387904 input " FLOATS("0, 3", "")),
       kExhausted,
       "repeat_input",
       {"4611686018427387904", "--max-decoded-bytes"}},
      {"TrainStep", with_labels("num_classes: 2"), kInvalid, "labels", {"absent"}},
      {"TrainStep",
       with_labels("num_classes: 2 labels { dtype: DATA_TYPE_INT64 shape: 2 values: [1, 0] }"),
       kInvalid,
       "labels",
       {"2 elements", "1, the batch"}},
      {"TrainStep",
       with_labels("num_classes: 2 labels { dtype: DATA_TYPE_INT64 values: 1 }"),
       kInvalid,
       "labels.shape",
       {"[]", "[B]"}},
      {"TrainStep",
       with_labels("num_classes: 2 labels { dtype: DATA_TYPE_INT64 shape: [1, 1] values: 1 }"),
       kInvalid,
       "labels.shape",
       {"[1, 1]", "[B]"}},
      {"TrainStep",
       with_labels("num_classes: 2 labels { dtype: DATA_TYPE_INT64 shape: 1 values: 2 }"),
       kInvalid,
       "labels",
       {"2 at element 0", "[0, 2)"}},
      {"TrainStep",
       with_labels("num_classes: 2 labels { dtype: DATA_TYPE_INT32 shape: 1 values: -1 }"),
       kInvalid,
       "labels",
       {"-1 at element 0", "[0, 2)"}},
      {"TrainStep",
       with_labels("num_classes: 2 labels { dtype: DATA_TYPE_FLOAT32 shape: 1 values: 1 }"),
       kInvalid,
       "labels.dtype",
       {"FLOAT32", "INT64"}},
      {"TrainStep",
       with_labels("num_classes: 2 labels { dtype: DATA_TYPE_INT64 shape: 1 values: 0.5 }"),
       kInvalid,
       "labels.values[0]",
       {"0.5"}},
      {"TrainStep",
       with_labels("labels { dtype: DATA_TYPE_INT64 shape: 1 values: 0 }"),
       kInvalid,
       "num_classes",
       {"0", ">= 1"}},
      {"TrainStep",
       with_labels("num_classes: 3 labels { dtype: DATA_TYPE_INT64 shape: 1 values: 0 }"),
       kInvalid,
       "output_layer",
       {"[1, 2]", "num_classes 3"}},
      {"TrainStep", with_labels(LABELS "output_layer: 'nobody'"), kInvalid, "output_layer", {"nobody"}},
      {"TrainStep", with_labels(LABELS "output_layer: 'fc'"), kInvalid, "output_layer", {"fc", "spiking"}},
      {"TrainStep", with_labels(LABELS "margin { threshold0: nan }"), kInvalid, "margin.threshold0", {"NaN"}},
      {"TrainStep", with_labels(LABELS "margin { threshold1: nan }"), kInvalid, "margin.threshold1", {"NaN"}},
  });
}

TEST_P(BadTrainingSuite, BadLossesAreRefused) {
  const auto with = [](const std::string& losses) { return losses + " " INPUT LABELS SGD; };
  ExpectRefusedAndUnchanged({
      {"TrainStep", with(""), kInvalid, "losses", {"none", "at least one"}},
      {"TrainStep", with("losses { }"), kInvalid, "losses[0].kind", {"absent", "similarity, rate, count, clusters"}},
      {"TrainStep", with(RATE "losses { layer: 'out' }"), kInvalid, "losses[1].kind", {"absent"}},
      {"TrainStep", with("losses { layer: 'nobody' rate {} }"), kInvalid, "losses[0].layer", {"nobody"}},
      {"TrainStep", with(RATE "losses { layer: 'fc' rate {} }"), kInvalid, "losses[1].layer", {"fc", "spiking"}},
      {"TrainStep", with("losses { weight: nan rate {} }"), kInvalid, "losses[0].weight", {"nan"}},
      {"TrainStep", with("losses { weight: -inf rate {} }"), kInvalid, "losses[0].weight", {"-inf"}},
      {"TrainStep", with("losses { weight: 1e39 rate {} }"), kInvalid, "losses[0].weight", {"1e+39"}},
      {"TrainStep", with("losses { similarity { kernel {} } }"), kInvalid, "losses[0].similarity.kernel", {"absent"}},
      {"TrainStep",
       with("losses { similarity { kernel { gaussian {} } } }"),
       kInvalid,
       "losses[0].similarity.kernel.gaussian.sigma",
       {"absent"}},
      {"TrainStep",
       with(RATE "losses { similarity { kernel { gaussian { sigma: 0 } } } }"),
       kInvalid,
       "losses[1].similarity.kernel.gaussian.sigma",
       {"0"}},
      {"TrainStep", with("losses { similarity { loss_type: 9 } }"), kInvalid, "losses[0].similarity.loss_type", {"9"}},
      {"TrainStep",
       with("losses { layer: 'hidden' similarity { kernel { polynomial { d: 2 } } loss_type: LOSS_TYPE_BCE } }"),
       kInvalid,
       "losses[0].similarity.loss_type",
       {"samples 0 and 0"}},
      {"TrainStep", with("losses { clusters { t_in: -1 } }"), kInvalid, "losses[0].clusters.t_in", {"-1"}},
      {"TrainStep", with("losses { clusters { n_d: inf } }"), kInvalid, "losses[0].clusters.n_d", {"inf"}},
  });
}

TEST_P(BadTrainingSuite, ALossOfAKindThatIsNotKnownIsRefused) {
  const std::string before = Everything();
  v1::TrainStepRequest request;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(Named(INPUT LABELS SGD "losses { }"), &request));
  v1::LossTerm* term = request.mutable_losses(0);
  term->GetReflection()->MutableUnknownFields(term)->AddLengthDelimited(100, "");
  v1::TrainStepResponse response;
  const absl::Status status = transport().Call("/spikeserve.v1.SpikeTrainingService/TrainStep", request, &response);
  EXPECT_EQ(status.code(), kInvalid) << status;
  EXPECT_EQ(FieldOf(status), "losses[0].kind");
  EXPECT_EQ(Everything(), before);
}

TEST_P(BadTrainingSuite, WhatIsNotFiniteStopsTheStepBeforeTheUpdate) {
  const std::string infinite = "input " FLOATS("2, 1, 3", "1, 1, 1, inf, 1, 1") LABELS;
  const std::string both = "input " FLOATS("2, 1, 3", "inf, -inf, 1, 1, 1, 1") LABELS;
  ExpectRefusedAndUnchanged({
      {"TrainStep",
       infinite + SGD "losses { layer: 'hidden' clusters { n_d: 0 } }",
       kPrecondition,
       "losses",
       {"a loss of inf", "nothing was changed"}},
      {"TrainStep",
       both + SGD RATE "losses { layer: 'hidden' clusters { } }",
       kPrecondition,
       "losses[1]",
       {"NaN", "nothing was changed"}},
      {"TrainStep", infinite + SGD RATE, kPrecondition, "gradients", {"fc.weight", "nothing was changed"}},
      {"TrainStep",
       INPUT LABELS RATE "optimizer { sgd { learning_rate: 3e38 weight_decay: 3e38 } }",
       kPrecondition,
       "optimizer",
       {"fc.weight", "a smaller step", "nothing was changed"}},
      {"ApplyGradients",
       "optimizer { sgd { learning_rate: 3e38 weight_decay: 3e38 } }",
       kPrecondition,
       "optimizer",
       {"fc.weight", "a smaller step", "nothing was changed"}},
  });
  // A gradient that is not finite is added up as it is, and refused by the optimiser.
  ASSERT_TRUE(Call("SpikeTrainingService/ZeroGradients", Named("")).ok());
  Expect("Forward", kForward);
  ASSERT_TRUE(Call("SpikeTrainingService/Backward", Named("grad_output " FLOATS("2, 1, 2", "inf, 1, 1, 1"))).ok());
  const std::string before = Everything();
  ExpectRefused({{"SpikeTrainingService/ApplyGradients",
                  Named(SGD),
                  kPrecondition,
                  "gradients",
                  {"not finite", "nothing was changed"}}});
  EXPECT_EQ(Everything(), before);
}

}  // namespace
}  // namespace spikeserve::testing

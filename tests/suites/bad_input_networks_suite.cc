// Bad networks over every transport: each gets its code and a message that names the field, what came and what is
// needed, and the service goes on.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "suites/bad_input_testing.h"

namespace spikeserve::testing {
namespace {

class BadNetworkSuite : public BadInputTest {};
SPIKESERVE_OVER_ALL_TRANSPORTS(BadNetworkSuite);

#define FLOATS(lengths, numbers) "{ dtype: DATA_TYPE_FLOAT32 shape: [" lengths "] values: [" numbers "] } "
#define BITS "layers { linear { weight { dtype: DATA_TYPE_BIT shape: [16384, 16384] } } } "
// Two features, then one.
#define LAYERS \
  "layers { name: 'fc' linear { weight " FLOATS("1, 2", "1, 2") "} } "                     \
  "layers { name: 'n' if_node {} } layers { name: 's' low_pass_synapse {} } layers { name: 'd' dropout {} } "
#define STATE(layer) "state { sample_shape: [1, 2] layers { " layer " } } "
#define WEIGHT(field, lengths, numbers) field " { layer: 'fc' parameter: 'weight' values " FLOATS(lengths, numbers) "} "
#define SGD "optimizer { sgd {} } "
#define ADAM "optimizer { adam {} } "
constexpr const char* kCreate = "SpikeNetworkService/CreateNetwork";

const std::vector<BadCase>& Cases() {
  static const auto& cases = *new std::vector<BadCase>{
      {"SpikeNetworkService/CreateNetwork", "", kInvalid, "layers", {}},
      {"SpikeNetworkService/CreateNetwork", "layers { name: 'a' }", kInvalid, "layers[0].kind", {"absent"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { lif_node { tau: 0 } }",
       kInvalid,
       "layers[0].lif_node.tau",
       {"0"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { lif_node { soft_reset: true v_reset: 0 } }",
       kInvalid,
       "layers[0].lif_node.soft_reset",
       {"v_reset"}},
      {"SpikeNetworkService/CreateNetwork", "layers { dropout { p: 1 } }", kInvalid, "layers[0].dropout.p", {"1"}},
      {"SpikeNetworkService/CreateNetwork", "layers { linear { } }", kInvalid, "layers[0].linear.weight", {"absent"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { linear { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 2] values: [1, 2] } bias { dtype: "
       "DATA_TYPE_FLOAT32 shape: 2 values: [1, 2] } } }",
       kInvalid,
       "layers[0].linear.bias",
       {"2", "1"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { name: 'a' if_node { } } layers { name: 'a' if_node { } }",
       kInvalid,
       "layers[1].name",
       {"a"}},
      {"SpikeNetworkService/Forward",
       "network: 'nobody' input { dtype: DATA_TYPE_FLOAT32 shape: [1, 1] values: 1 }",
       kNotFound,
       "network",
       {"nobody", "CreateNetwork"}},
      {"SpikeNetworkService/GetNetwork", "", kNotFound, "network", {}},
      {"SpikeNetworkService/ResetNet",
       "network: '0123456789012345678901234567890123456789'",
       kNotFound,
       "network",
       {"40 characters"}},
      {"SpikeNetworkService/DeleteNetwork", "network: '\\n\\0'", kNotFound, "network", {"\\n\\x00"}},
  };
  return cases;
}

TEST_P(BadNetworkSuite, EachBadRequestIsRefusedWithItsCodeFieldAndReason) { ExpectRefused(Cases()); }

TEST_P(BadNetworkSuite, LayersThatDoNotFitEachOtherAreNamedByTheirIndex) {
  ExpectRefused({
      {kCreate,
       "layers { linear { weight " FLOATS("1, 2", "1, 2") "} } layers { if_node {} } layers { linear { weight " FLOATS(
           "1, 3", "1, 2, 3") "} }",
       kInvalid,
       "layers[2].linear.weight",
       {"[1, 3]", "[out, 1]"}},
      {kCreate, "layers { low_pass_synapse { p: 0.5 } }", kInvalid, "layers[0].low_pass_synapse.p", {"learnable"}},
      {kCreate,
       "layers { if_node {} } layers { low_pass_synapse { learnable: true p: nan } }",
       kInvalid,
       "layers[1].low_pass_synapse.p",
       {"nan"}},
      // Five gigabytes, of next to no bytes on the wire.
      {kCreate, BITS BITS BITS BITS BITS, kExhausted, "layers", {"5368709120", "--max-network-bytes"}},
  });
}

TEST_P(BadNetworkSuite, WhatGoesOnWhereAnotherNetworkWasHasToFit) {
  const auto with = [](const std::string& more) { return LAYERS + more; };
  ExpectRefused({
      {kCreate, with("format_version: 2"), kInvalid, "format_version", {"2", "1"}},
      {kCreate, with("format_version: 0"), kInvalid, "format_version", {"0", "1"}},
      {kCreate, with("state { sample_shape: [1, 5] }"), kInvalid, "state.sample_shape", {"[1, 5]", "[batch, 2]"}},
      {kCreate, with("state { sample_shape: 2 }"), kInvalid, "state.sample_shape", {"[2]"}},
      {kCreate, with("state { sample_shape: [-1, 2] }"), kInvalid, "state.sample_shape", {"[-1, 2]"}},
      {kCreate, with(STATE("layer: 'nobody'")), kInvalid, "state.layers[0].layer", {"nobody"}},
      {kCreate,
       with(STATE("layer: 'n' v " FLOATS("1", "0") "} layers { layer: 'n'")),
       kInvalid,
       "state.layers[1].layer",
       {"n", "once"}},
      {kCreate, with(STATE("layer: 'n' v " FLOATS("2", "0, 0"))), kInvalid, "state.layers[0].v", {"2 elements"}},
      {kCreate, with(STATE("layer: 'n' v " FLOATS("1", "nan"))), kInvalid, "state.layers[0].v", {"NaN"}},
      {kCreate, with(STATE("layer: 'n' v { shape: 1 values: 0 }")), kInvalid, "state.layers[0].v.dtype", {}},
      {kCreate,
       with(STATE("layer: 's' current " FLOATS("2", "0, 0"))),
       kInvalid,
       "state.layers[0].current",
       {"2 elements"}},
      {kCreate, with(STATE("layer: 'd' mask " FLOATS("2", "0, 0"))), kInvalid, "state.layers[0].mask", {"2 elements"}},
      {kCreate,
       with("state { layers { layer: 'n' v " FLOATS("1", "0") "} }"),
       kInvalid,
       "state.layers[0]",
       {"without a sample_shape"}},
      {kCreate,
       with(STATE("layer: 'n' v " FLOATS("1", "0") "current " FLOATS("1", "0"))),
       kInvalid,
       "state.layers[0].current",
       {"\"n\" does not have"}},
      {kCreate,
       with(STATE("layer: 'n' masks_drawn: 3 v " FLOATS("1", "0"))),
       kInvalid,
       "state.layers[0].masks_drawn",
       {"\"n\" does not have"}},
      {kCreate, with(STATE("layer: 'fc' v " FLOATS("1", "0"))), kInvalid, "state.layers[0].v", {"it has no state"}},
  });
}

TEST_P(BadNetworkSuite, WhatTrainingLeftHasToFitTheParameters) {
  const auto with = [](const std::string& more) { return LAYERS + more; };
  const auto optimizer = [](const std::string& more) { return LAYERS "optimizer_state { " + more + "} "; };
  const std::string zeros = WEIGHT("first_moments", "1, 2", "0, 0");
  ExpectRefused({
      {kCreate, optimizer("steps: 1 "), kInvalid, "optimizer_state.optimizer", {"absent"}},
      {kCreate, optimizer(zeros), kInvalid, "optimizer_state.optimizer", {"absent"}},
      {kCreate, optimizer("optimizer { } "), kInvalid, "optimizer_state.optimizer.kind", {"absent"}},
      {kCreate,
       optimizer("optimizer { sgd { learning_rate: -1 } } " + zeros),
       kInvalid,
       "optimizer_state.optimizer.sgd.learning_rate",
       {"-1"}},
      {kCreate, optimizer(SGD "steps: -1 " + zeros), kInvalid, "optimizer_state.steps", {"-1"}},
      {kCreate, optimizer(SGD "steps: 9223372036854775807 " + zeros), kInvalid, "optimizer_state.steps", {"92233"}},
      {kCreate, optimizer(SGD), kInvalid, "optimizer_state.first_moments", {"fc.weight"}},
      {kCreate, optimizer(SGD + zeros + zeros), kInvalid, "optimizer_state.first_moments[1]", {"again"}},
      {kCreate,
       optimizer(SGD WEIGHT("first_moments", "2, 1", "0, 0")),
       kInvalid,
       "optimizer_state.first_moments[0]",
       {"[2, 1]", "[1, 2]"}},
      {kCreate,
       optimizer(SGD WEIGHT("first_moments", "1, 2", "0, inf")),
       kInvalid,
       "optimizer_state.first_moments[0]",
       {"inf at element 1"}},
      {kCreate,
       optimizer(SGD + zeros + "first_moments { layer: 'n' parameter: 'p' values " FLOATS("1", "0") "} "),
       kInvalid,
       "optimizer_state.first_moments",
       {"2 tensors", "1"}},
      {kCreate,
       optimizer(SGD + zeros + WEIGHT("second_moments", "1, 2", "0, 0")),
       kInvalid,
       "optimizer_state.second_moments",
       {"1 tensors", "none"}},
      {kCreate, optimizer(ADAM + zeros), kInvalid, "optimizer_state.second_moments", {"fc.weight"}},
      {kCreate,
       optimizer(ADAM + zeros + WEIGHT("second_moments", "1, 2", "0, -1")),
       kInvalid,
       "optimizer_state.second_moments",
       {"-1", ">= 0"}},
      {kCreate, with(WEIGHT("gradients", "1, 3", "0, 0, 0")), kInvalid, "gradients[0]", {"[1, 3]", "[1, 2]"}},
      {kCreate, with(WEIGHT("gradients", "1, 2", "0, nan")), kInvalid, "gradients[0]", {"nan at element 1"}},
      {kCreate, with("gradients { layer: 'n' values " FLOATS("1", "0") "}"), kInvalid, "gradients", {"fc.weight"}},
      {kCreate,
       with("gradients { layer: 'fc' parameter: 'weight' values { shape: [1, 2] values: [0, 0] } }"),
       kInvalid,
       "gradients[0].values.dtype",
       {}},
  });
}

}  // namespace
}  // namespace spikeserve::testing

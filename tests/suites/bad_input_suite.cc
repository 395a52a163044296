// Bad input over every transport: each gets its code and a message that names the field, what came and what is needed,
// and the service goes on.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "runtime/method.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/functions.pb.h"
#include "suites/transport.h"

namespace spikeserve::testing {
namespace {

using ::testing::HasSubstr;

class BadInputSuite : public TransportTest {
 protected:
  // Makes a call of `method` ("SpikeFunctionService/SpikeCluster") with a request in Protobuf's text format.
  absl::Status Call(const std::string& method, const std::string& text) { return CallOn(transport(), method, text); }

  static absl::Status CallOn(Transport& transport, const std::string& method, const std::string& text) {
    const std::string path = "/spikeserve.v1." + method;
    const server::Method& entry = server::Methods().at(path);
    std::unique_ptr<Message> request(entry.request_prototype->New());
    if (!google::protobuf::TextFormat::ParseFromString(text, request.get())) {
      ADD_FAILURE() << "the test's request does not parse: " << text;
    }
    const auto* descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(Dotted(path))->output_type();
    std::unique_ptr<Message> response(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
    return transport.Call(path, *request, response.get());
  }

  void ExpectServes() {
    EXPECT_TRUE(
        Call("SpikeFunctionService/FirstSpikeIndex", "spikes { dtype: DATA_TYPE_BOOL shape: 3 data: '\\0\\1\\1' }")
            .ok());
  }

 private:
  static std::string Dotted(std::string path) {
    path = path.substr(1);
    path[path.find('/')] = '.';
    return path;
  }
};
SPIKESERVE_OVER_ALL_TRANSPORTS(BadInputSuite);

struct BadCase {
  const char* method;
  const char* request;
  absl::StatusCode code;
  const char* field;
  // What the message has to say.
  std::vector<std::string> says;
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

#define GOOD_V "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] values: [0, 2] } "
#define GOOD_THRESHOLD "v_threshold { dtype: DATA_TYPE_FLOAT32 values: 1 } "
#define X "x { dtype: DATA_TYPE_FLOAT32 shape: [2, 2] values: [1, 0, 0, 3] } "
#define GRAD_OUTPUT "grad_output { dtype: DATA_TYPE_FLOAT32 shape: [2, 2] values: [1, 1, 1, 1] } "
#define LABELS "labels { dtype: DATA_TYPE_UINT8 shape: [2, 1] values: [1, 1] } "
#define SPIKES "spikes { dtype: DATA_TYPE_FLOAT32 shape: [2, 2] values: [1, 1, 1, 1] } "

const std::vector<BadCase>& Cases() {
  static const auto& cases = *new std::vector<BadCase>{
      // Tensors.
      {"SpikeFunctionService/SpikeCluster", GOOD_THRESHOLD, kInvalid, "v", {"absent"}},
      {"SpikeFunctionService/SpikeCluster", GOOD_V, kInvalid, "v_threshold", {"absent"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { shape: [2, 1] values: [0, 2] } " GOOD_THRESHOLD,
       kInvalid,
       "v.dtype",
       {"UNSPECIFIED", "FLOAT32, FLOAT64"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_INT32 shape: [2, 1] values: [0, 2] } " GOOD_THRESHOLD,
       kInvalid,
       "v.dtype",
       {"INT32", "FLOAT32, FLOAT64"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: 77 shape: [2, 1] values: [0, 2] } " GOOD_THRESHOLD,
       kInvalid,
       "v.dtype",
       {"77", "FLOAT32, FLOAT64"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] data: '\\0\\0\\0\\0\\0' } " GOOD_THRESHOLD,
       kInvalid,
       "v.data",
       {"5 bytes", "8 bytes", "[2, 1]"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.data",
       {"0 bytes", "8 bytes"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] values: [1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.values",
       {"1 elements", "2", "[2, 1]"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, -1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"[2, -1]", "at least 0"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [4294967296, 4294967296] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"4294967296", "below 2^63"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [0, 4611686018427387904, 4] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"below 2^63"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [-9223372036854775808, 1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"at least 0"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [9223372036854775807, 1] } " GOOD_THRESHOLD,
       kExhausted,
       "v.shape",
       {"9223372036854775807", "--max-decoded-bytes"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BIT shape: [1099511627776] event_deltas: 5 }",
       kExhausted,
       "spikes.shape",
       {"--max-decoded-bytes"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [1, 1] data: '\\0\\0\\0\\0' values: 1 } " GOOD_THRESHOLD,
       kInvalid,
       "v",
       {"data and values", "exactly one"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: 1 values: 1 event_deltas: 0 }",
       kInvalid,
       "spikes",
       {"values and event_deltas"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: 1 data: '1' event_deltas: 0 }",
       kInvalid,
       "spikes",
       {"data and event_deltas"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [2, 3] event_deltas: [4, 2] }",
       kInvalid,
       "spikes.event_deltas[1]",
       {"below 6"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [2, 3] event_deltas: [4, 0] }",
       kInvalid,
       "spikes.event_deltas[1]",
       {"at least 1"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [2, 3] event_deltas: [4, 18446744073709551615] }",
       kInvalid,
       "spikes.event_deltas[1]",
       {"below 6"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [0] event_deltas: [0] }",
       kInvalid,
       "spikes.event_deltas[0]",
       {"below 0"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_UINT8 shape: 1 values: 256 }",
       kInvalid,
       "spikes.values[0]",
       {"256"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: 2 data: '\\0\\2' }",
       kInvalid,
       "spikes",
       {"element 1 is 2", "0 or 1"}},
      {"SpikeFunctionService/FirstSpikeIndex", "", kInvalid, "spikes", {"absent", "a tensor"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL values: 1 }",
       kInvalid,
       "spikes.shape",
       {"[]", "[*, T]"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_FLOAT32 values: 1 }",
       kInvalid,
       "spikes.shape",
       {"[]", "[*, T]"}},
      // Functions.
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0, 2] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"[2]", "[T, N]"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] values: [0, nan] } " GOOD_THRESHOLD,
       kInvalid,
       "v",
       {"NaN", "1"}},
      {"SpikeFunctionService/SpikeCluster",
       GOOD_V "v_threshold { dtype: DATA_TYPE_FLOAT32 values: nan }",
       kInvalid,
       "v_threshold",
       {"NaN"}},
      {"SpikeFunctionService/SpikeCluster",
       GOOD_V "v_threshold { dtype: DATA_TYPE_FLOAT32 shape: 3 values: [1, 1, 1] }",
       kInvalid,
       "v_threshold",
       {"3", "1"}},
      {"SpikeFunctionService/SpikeCluster",
       GOOD_V "v_threshold { dtype: DATA_TYPE_FLOAT32 shape: [1, 1] values: 1 }",
       kInvalid,
       "v_threshold.shape",
       {"[1, 1]", "one element or [N]"}},
      {"SpikeFunctionService/SpikeCluster", GOOD_V GOOD_THRESHOLD "t_in: -1", kInvalid, "t_in", {"-1", "0"}},
      {"SpikeFunctionService/SpikeCluster", GOOD_V GOOD_THRESHOLD "rule: 9", kInvalid, "rule", {"9"}},
      {"SpikeFunctionService/SpikeCluster", GOOD_V GOOD_THRESHOLD "v_min: 1", kInvalid, "v_min", {"1"}},
      {"SpikeFunctionService/SpikeCluster",
       GOOD_V GOOD_THRESHOLD "mask_dtype: DATA_TYPE_INT32",
       kInvalid,
       "mask_dtype",
       {"INT32", "BOOL, BIT"}},
      {"SpikeFunctionService/KernelDotProduct", X, kInvalid, "kernel", {"absent"}},
      {"SpikeFunctionService/KernelDotProduct",
       X "kernel { gaussian { sigma: 0 } }",
       kInvalid,
       "kernel.gaussian.sigma",
       {"0"}},
      {"SpikeFunctionService/KernelDotProduct",
       X "kernel { gaussian { } }",
       kInvalid,
       "kernel.gaussian.sigma",
       {"absent"}},
      {"SpikeFunctionService/KernelDotProduct",
       X "kernel { polynomial { d: inf } }",
       kInvalid,
       "kernel.polynomial.d",
       {"inf"}},
      {"SpikeFunctionService/KernelDotProduct",
       X "y { dtype: DATA_TYPE_FLOAT32 shape: [1, 3] values: [1, 2, 3] } kernel { linear {} }",
       kInvalid,
       "y",
       {"3", "2"}},
      {"SpikeFunctionService/KernelDotProduct",
       "x { dtype: DATA_TYPE_BIT shape: [1000000, 0] } kernel { linear {} }",
       kExhausted,
       "ret",
       {"--max-message-bytes"}},
      {"SpikeFunctionService/KernelDotProductVjp", X GRAD_OUTPUT, kInvalid, "kernel", {"absent"}},
      {"SpikeFunctionService/KernelDotProductVjp", GRAD_OUTPUT "kernel { linear {} }", kInvalid, "x", {"absent"}},
      {"SpikeFunctionService/KernelDotProductVjp", X "kernel { linear {} }", kInvalid, "grad_output", {"absent"}},
      {"SpikeFunctionService/KernelDotProductVjp",
       X GRAD_OUTPUT "kernel { sigmoid { alpha: nan } }",
       kInvalid,
       "kernel.sigmoid.alpha",
       {"nan"}},
      {"SpikeFunctionService/KernelDotProductVjp",
       X "grad_output { dtype: DATA_TYPE_FLOAT32 shape: 4 values: [1, 1, 1, 1] } kernel { linear {} }",
       kInvalid,
       "grad_output.shape",
       {"[4]", "[N, K]"}},
      {"SpikeFunctionService/KernelDotProductVjp",
       X GRAD_OUTPUT "y { dtype: DATA_TYPE_FLOAT32 shape: [1, 2] values: [1, 2] } kernel { linear {} }",
       kInvalid,
       "grad_output",
       {"[2, 2]", "[2, 1]"}},
      {"SpikeFunctionService/KernelDotProductVjp",
       X GRAD_OUTPUT "y { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] values: [1, 2] } kernel { linear {} }",
       kInvalid,
       "y",
       {"[2, 1]", "2 columns"}},
      {"SpikeFunctionService/KernelDotProductVjp",
       X "grad_output { dtype: DATA_TYPE_BIT shape: [1099511627776, 1] } kernel { linear {} }",
       kExhausted,
       "grad_output.shape",
       {"--max-decoded-bytes"}},
      {"SpikeFunctionService/SpikeSimilarLoss",
       SPIKES LABELS "kernel { linear {} }",
       kInvalid,
       "loss_type",
       {"UNSPECIFIED"}},
      {"SpikeFunctionService/SpikeSimilarLoss",
       SPIKES LABELS "kernel { polynomial { d: 2 } } loss_type: LOSS_TYPE_BCE",
       kInvalid,
       "loss_type",
       {"4", "samples 0 and 0"}},
      {"SpikeFunctionService/SpikeSimilarLoss",
       SPIKES "labels { dtype: DATA_TYPE_UINT8 shape: [3, 1] values: [1, 1, 1] } kernel { linear {} } loss_type: "
              "LOSS_TYPE_MSE",
       kInvalid,
       "labels",
       {"3", "2"}},
      {"SpikeFunctionService/SpikeSimilarLoss",
       SPIKES "labels { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] values: [1, 0.5] } kernel { linear {} } loss_type: "
              "LOSS_TYPE_MSE",
       kInvalid,
       "labels.values[1]",
       {"0.5", "0 or 1"}},
      {"SpikeFunctionService/SpikeSimilarLoss",
       "spikes { dtype: DATA_TYPE_BOOL shape: [0, 3] } labels { dtype: DATA_TYPE_BOOL shape: [0, 2] } kernel { linear "
       "{} } "
       "loss_type: LOSS_TYPE_MSE",
       kInvalid,
       "spikes",
       {"0"}},
      {"SpikeFunctionService/SpikeSimilarLoss",
       "spikes { dtype: DATA_TYPE_BIT shape: [100000, 0] } labels { dtype: DATA_TYPE_BIT shape: [100000, 0] } kernel { "
       "linear {} } loss_type: LOSS_TYPE_MSE",
       kExhausted,
       "spikes",
       {"100000", "--max-pairs"}},
      {"SpikeFunctionService/RedundantOneHot",
       "labels { dtype: DATA_TYPE_INT32 shape: 2 values: [0, 3] } num_classes: 3 n: 1",
       kInvalid,
       "labels",
       {"3"}},
      {"SpikeFunctionService/RedundantOneHot",
       "labels { dtype: DATA_TYPE_INT32 shape: 1 values: -1 } num_classes: 3 n: 1",
       kInvalid,
       "labels",
       {"-1"}},
      {"SpikeFunctionService/RedundantOneHot",
       "labels { dtype: DATA_TYPE_FLOAT32 shape: 1 values: 1 } num_classes: 3 n: 1",
       kInvalid,
       "labels.dtype",
       {"FLOAT32", "INT64"}},
      {"SpikeFunctionService/RedundantOneHot",
       "labels { dtype: DATA_TYPE_INT32 shape: 1 values: 0 } n: 1",
       kInvalid,
       "num_classes",
       {"0"}},
      {"SpikeFunctionService/RedundantOneHot",
       "labels { dtype: DATA_TYPE_INT32 shape: 1 values: 0 } num_classes: 2",
       kInvalid,
       "n",
       {"0"}},
      {"SpikeFunctionService/RedundantOneHot",
       "labels { dtype: DATA_TYPE_INT32 shape: 1 values: 0 } num_classes: 4611686018427387904 n: 4",
       kInvalid,
       "n",
       {"4611686018427387904"}},
      {"SpikeFunctionService/RedundantOneHot",
       "labels { dtype: DATA_TYPE_INT32 shape: 1 values: 0 } num_classes: 1000000 n: 1000000",
       kExhausted,
       "codes",
       {"4000000000000", "--max-message-bytes"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0, 0.5] }",
       kInvalid,
       "spikes.values[1]",
       {"0.5", "0 or 1"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL data: '\\1' }",
       kInvalid,
       "spikes.shape",
       {"[]", "[*, T]"}},
      {"SpikeFunctionService/ThresholdMargin",
       "label_one_hot { dtype: DATA_TYPE_BOOL shape: 1 values: 1 } training: true threshold0: nan",
       kInvalid,
       "threshold0",
       {"NaN"}},
      {"SpikeFunctionService/StcaLoss",
       GOOD_V GOOD_THRESHOLD "n_d { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [1, 1] }",
       kInvalid,
       "n_d",
       {"2"}},
      {"SpikeFunctionService/StcaLoss",
       GOOD_V GOOD_THRESHOLD "n_d { dtype: DATA_TYPE_FLOAT32 values: nan }",
       kInvalid,
       "n_d",
       {}},
      // Networks.
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
      // Layers on planes.
      {"SpikeNetworkService/CreateNetwork", "layers { conv2d {  } }", kInvalid, "layers[0].conv2d.weight", {"absent"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 2] values: [1, 2] } } }",
       kInvalid,
       "layers[0].conv2d.weight.shape",
       {"[1, 2]", "kernel height"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } bias { dtype: "
       "DATA_TYPE_FLOAT32 shape: 2 values: [1, 2] } } }",
       kInvalid,
       "layers[0].conv2d.bias",
       {"2 elements", "1"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } stride: [1, 2, 3] } }",
       kInvalid,
       "layers[0].conv2d.stride",
       {"3 lengths", "[height, width]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } stride: 0 } }",
       kInvalid,
       "layers[0].conv2d.stride",
       {"[0, 0]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } padding: [0, -1] } }",
       kInvalid,
       "layers[0].conv2d.padding",
       {"[0, -1]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } dilation: [0, 1] } }",
       kInvalid,
       "layers[0].conv2d.dilation",
       {"[0, 1]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } groups: 2 } }",
       kInvalid,
       "layers[0].conv2d.groups",
       {"2", "1"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { linear { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1] values: 1 } } } layers { conv2d { weight { "
       "dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } } }",
       kInvalid,
       "layers[1].conv2d",
       {"[batch, 1]", "[batch, channels, height, width]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { avg_pool2d { } }",
       kInvalid,
       "layers[0].avg_pool2d.kernel",
       {"absent"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { max_pool2d { } }",
       kInvalid,
       "layers[0].max_pool2d.kernel",
       {"absent"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { avg_pool2d { kernel: [2, 0] } }",
       kInvalid,
       "layers[0].avg_pool2d.kernel",
       {"[2, 0]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { max_pool2d { kernel: 2 stride: [1, 0] } }",
       kInvalid,
       "layers[0].max_pool2d.stride",
       {"[1, 0]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { avg_pool2d { kernel: 2 padding: 2 } }",
       kInvalid,
       "layers[0].avg_pool2d.padding",
       {"[2, 2]", "half"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { flatten { start_dim: 0 } }",
       kInvalid,
       "layers[0].flatten.start_dim",
       {"0", "batch"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { flatten { start_dim: 3 end_dim: 2 } }",
       kInvalid,
       "layers[0].flatten.end_dim",
       {"2", "3"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { } }",
       kInvalid,
       "layers[0].batch_norm2d.num_features",
       {"0", "65536"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { num_features: 70000 } }",
       kInvalid,
       "layers[0].batch_norm2d.num_features",
       {"70000", "65536"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { num_features: 2 eps: 0 } }",
       kInvalid,
       "layers[0].batch_norm2d.eps",
       {"0"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { num_features: 2 momentum: 2 } }",
       kInvalid,
       "layers[0].batch_norm2d.momentum",
       {"2", "[0, 1]"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { affine: false weight { dtype: DATA_TYPE_FLOAT32 shape: 1 values: [1] } } }",
       kInvalid,
       "layers[0].batch_norm2d.weight",
       {"affine"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { num_features: 2 bias { dtype: DATA_TYPE_FLOAT32 shape: 1 values: [1] } } }",
       kInvalid,
       "layers[0].batch_norm2d.bias",
       {"1 elements", "2"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { running_mean { dtype: DATA_TYPE_FLOAT32 shape: 0 values: [] } } }",
       kInvalid,
       "layers[0].batch_norm2d.running_mean",
       {"no elements"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { batch_norm2d { running_var { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [1, -1] } } }",
       kInvalid,
       "layers[0].batch_norm2d.running_var",
       {"-1 at element 1"}},
      {"SpikeNetworkService/CreateNetwork",
       "layers { low_pass_synapse { learnable: true p: inf } }",
       kInvalid,
       "layers[0].low_pass_synapse.p",
       {"inf"}},
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

TEST_P(BadInputSuite, EachBadRequestIsRefusedWithItsCodeFieldAndReason) {
  for (const BadCase& c : Cases()) {
    SCOPED_TRACE(std::string(c.method) + " " + c.request);
    const absl::Status status = Call(c.method, c.request);
    EXPECT_EQ(status.code(), c.code) << status;
    EXPECT_EQ(FieldOf(status), c.field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.field));
    EXPECT_THAT(std::string(status.message()), HasSubstr("need"));
    for (const std::string& said : c.says) EXPECT_THAT(std::string(status.message()), HasSubstr(said));
  }
  ExpectServes();
}

TEST_P(BadInputSuite, MasksWithoutElementsAreSilent) {
  EXPECT_TRUE(Call("SpikeFunctionService/FirstSpikeIndex", "spikes { dtype: DATA_TYPE_BIT shape: [2, 3] }").ok());
}

TEST_P(BadInputSuite, AMessageOverTheLimitIsRefusedAndTheFlagIsNamed) {
  if (GetParam() == TransportKind::kInProcess) return;  // Nothing is sent, so that there is no limit on it.
  server::EngineOptions options;
  options.limits.max_message_bytes = 10'000;
  Transport small(GetParam(), options);
  const std::vector<uint8_t> spikes(20'000);
  const auto result = small.client().FirstSpikeIndex({.spikes = spikes});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("--max-message-bytes"));
  EXPECT_TRUE(small.client().FirstSpikeIndex({.spikes = std::vector<uint8_t>(5'000)}).ok());
}

TEST_P(BadInputSuite, ARequestCutOffAnywhereIsRefusedOrUnderstoodAndTheServiceGoesOn) {
  if (GetParam() == TransportKind::kInProcess) return;  // No bytes there.
  v1::SpikeClusterRequest request;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      GOOD_V GOOD_THRESHOLD "t_in: 1 rule: CLUSTER_RULE_DEFINITION v_min: 1", &request));
  const std::string whole = request.SerializeAsString();
  grpc::GenericStub stub(grpc::CreateChannel(transport().address(), grpc::InsecureChannelCredentials()));
  int not_parsed = 0;
  for (size_t length = 0; length < whole.size(); ++length) {
    const grpc::Slice slice(whole.data(), length);
    const grpc::ByteBuffer bytes(&slice, 1);
    grpc::ByteBuffer response;
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    auto call = stub.PrepareUnaryCall(&context, "/spikeserve.v1.SpikeFunctionService/SpikeCluster", bytes, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag;
    bool ok;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
        << length << ": " << status.error_code() << " " << status.error_message();
    if (status.error_message().find("do not parse; need a spikeserve.v1.SpikeClusterRequest") != std::string::npos) {
      ++not_parsed;
    }
  }
  EXPECT_GT(not_parsed, 10);
  ExpectServes();
}

TEST_P(BadInputSuite, AnUnknownMethodIsUnimplemented) {
  v1::SpikeClusterRequest request;
  v1::SpikeClusterResponse response;
  EXPECT_EQ(transport().Call("/spikeserve.v1.SpikeFunctionService/Nothing", request, &response).code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace spikeserve::testing

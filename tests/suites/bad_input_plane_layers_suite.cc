// Bad layers on planes (convolutions, pools, normalisation) over every transport.

#include <vector>

#include "gtest/gtest.h"
#include "suites/bad_input_testing.h"

namespace spikeserve::testing {
namespace {

class BadPlaneLayerSuite : public BadInputTest {};
SPIKESERVE_OVER_ALL_TRANSPORTS(BadPlaneLayerSuite);

constexpr const char* kCreate = "SpikeNetworkService/CreateNetwork";

const std::vector<BadCase>& Cases() {
  static const auto& cases = *new std::vector<BadCase>{
      {kCreate, "layers { conv2d {  } }", kInvalid, "layers[0].conv2d.weight", {"absent"}},
      {kCreate,
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 2] values: [1, 2] } } }",
       kInvalid,
       "layers[0].conv2d.weight.shape",
       {"[1, 2]", "kernel height"}},
      {kCreate,
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } bias { dtype: "
       "DATA_TYPE_FLOAT32 shape: 2 values: [1, 2] } } }",
       kInvalid,
       "layers[0].conv2d.bias",
       {"2 elements", "1"}},
      {kCreate,
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } stride: [1, 2, 3] } }",
       kInvalid,
       "layers[0].conv2d.stride",
       {"3 lengths", "[height, width]"}},
      {kCreate,
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } stride: 0 } }",
       kInvalid,
       "layers[0].conv2d.stride",
       {"[0, 0]"}},
      {kCreate,
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } padding: [0, -1] } }",
       kInvalid,
       "layers[0].conv2d.padding",
       {"[0, -1]"}},
      {kCreate,
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } dilation: [0, 1] } }",
       kInvalid,
       "layers[0].conv2d.dilation",
       {"[0, 1]"}},
      {kCreate,
       "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } groups: 2 } }",
       kInvalid,
       "layers[0].conv2d.groups",
       {"2", "1"}},
      {kCreate,
       "layers { linear { weight { dtype: DATA_TYPE_FLOAT32 shape: [1, 1] values: 1 } } } layers { conv2d { weight { "
       "dtype: DATA_TYPE_FLOAT32 shape: [1, 1, 1, 2] values: [1, 2] } } }",
       kInvalid,
       "layers[1].conv2d",
       {"[batch, 1]", "[batch, channels, height, width]"}},
      {kCreate, "layers { avg_pool2d { } }", kInvalid, "layers[0].avg_pool2d.kernel", {"absent"}},
      {kCreate, "layers { max_pool2d { } }", kInvalid, "layers[0].max_pool2d.kernel", {"absent"}},
      {kCreate, "layers { avg_pool2d { kernel: [2, 0] } }", kInvalid, "layers[0].avg_pool2d.kernel", {"[2, 0]"}},
      {kCreate,
       "layers { max_pool2d { kernel: 2 stride: [1, 0] } }",
       kInvalid,
       "layers[0].max_pool2d.stride",
       {"[1, 0]"}},
      {kCreate,
       "layers { avg_pool2d { kernel: 2 padding: 2 } }",
       kInvalid,
       "layers[0].avg_pool2d.padding",
       {"[2, 2]", "half"}},
      {kCreate, "layers { flatten { start_dim: 0 } }", kInvalid, "layers[0].flatten.start_dim", {"0", "batch"}},
      {kCreate, "layers { flatten { start_dim: 3 end_dim: 2 } }", kInvalid, "layers[0].flatten.end_dim", {"2", "3"}},
      {kCreate, "layers { batch_norm2d { } }", kInvalid, "layers[0].batch_norm2d.num_features", {"0", "65536"}},
      {kCreate,
       "layers { batch_norm2d { num_features: 70000 } }",
       kInvalid,
       "layers[0].batch_norm2d.num_features",
       {"70000", "65536"}},
      {kCreate, "layers { batch_norm2d { num_features: 2 eps: 0 } }", kInvalid, "layers[0].batch_norm2d.eps", {"0"}},
      {kCreate,
       "layers { batch_norm2d { num_features: 2 momentum: 2 } }",
       kInvalid,
       "layers[0].batch_norm2d.momentum",
       {"2", "[0, 1]"}},
      {kCreate,
       "layers { batch_norm2d { affine: false weight { dtype: DATA_TYPE_FLOAT32 shape: 1 values: [1] } } }",
       kInvalid,
       "layers[0].batch_norm2d.weight",
       {"affine"}},
      {kCreate,
       "layers { batch_norm2d { num_features: 2 bias { dtype: DATA_TYPE_FLOAT32 shape: 1 values: [1] } } }",
       kInvalid,
       "layers[0].batch_norm2d.bias",
       {"1 elements", "2"}},
      {kCreate,
       "layers { batch_norm2d { running_mean { dtype: DATA_TYPE_FLOAT32 shape: 0 values: [] } } }",
       kInvalid,
       "layers[0].batch_norm2d.running_mean",
       {"no elements"}},
      {kCreate,
       "layers { batch_norm2d { running_var { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [1, -1] } } }",
       kInvalid,
       "layers[0].batch_norm2d.running_var",
       {"-1 at element 1"}},
      {kCreate,
       "layers { low_pass_synapse { learnable: true p: inf } }",
       kInvalid,
       "layers[0].low_pass_synapse.p",
       {"inf"}},
  };
  return cases;
}

TEST_P(BadPlaneLayerSuite, IsRefusedByTheLayersFieldWithWhatCameAndWhatIsNeeded) { ExpectRefused(Cases()); }

}  // namespace
}  // namespace spikeserve::testing

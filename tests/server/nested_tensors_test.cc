#include "codec/nested_tensors.h"

#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/training.pb.h"

namespace spikeserve::codec {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

v1::Tensor OfShape(std::initializer_list<int64_t> shape) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_BIT);
  for (const int64_t length : shape) tensor.add_shape(length);
  return tensor;
}

TEST(NestedTensors, CountAtAnyDepthAsFloats) {
  v1::CreateNetworkRequest request;
  EXPECT_EQ(NestedFloatBytes(request), 0);
  *request.add_layers()->mutable_linear()->mutable_weight() = OfShape({3, 5});
  *request.mutable_layers(0)->mutable_linear()->mutable_bias() = OfShape({3});
  request.add_layers()->mutable_if_node();
  *request.mutable_state()->add_layers()->mutable_v() = OfShape({7});
  *request.add_gradients()->mutable_values() = OfShape({});
  EXPECT_EQ(NestedFloatBytes(request), (15 + 3 + 7 + 1) * 4);
}

TEST(NestedTensors, WithoutElementsCountAsOneOfSome) {
  v1::LayerGradient gradient;
  *gradient.mutable_grad_spikes() = OfShape({1000, 0, 2});
  EXPECT_EQ(NestedFloatBytes(gradient), 2000 * 4);
}

TEST(NestedTensors, OfNoSizeOrTooLargeOnesDoNotOverflow) {
  v1::BackwardRequest request;
  *request.add_layer_gradients()->mutable_grad_spikes() = OfShape({2, -1});
  EXPECT_EQ(NestedFloatBytes(request), 0);
  *request.add_layer_gradients()->mutable_grad_spikes() = OfShape({int64_t{1} << 60});
  EXPECT_EQ(NestedFloatBytes(request), int64_t{1} << 62);
  *request.add_layer_gradients()->mutable_grad_spikes() = OfShape({int64_t{1} << 60});
  EXPECT_EQ(NestedFloatBytes(request), kMax);
  *request.add_layer_gradients()->mutable_grad_spikes() = OfShape({kMax, kMax});
  EXPECT_EQ(NestedFloatBytes(request), kMax);
}

TEST(NestedTensors, OfAnyDtypeAndSizeAreTakenWhereTheirElementsAreThere) {
  v1::CreateNetworkRequest request;
  v1::Tensor& weight = *request.add_layers()->mutable_linear()->mutable_weight();
  weight = OfShape({1 << 10, 1 << 14});
  weight.set_data(std::string(1 << 21, '\xff'));
  EXPECT_TRUE(CheckElementsAreThere(request).ok());
  weight.mutable_data()->resize(1 << 18);
  const absl::Status status = CheckElementsAreThere(request);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(std::string(status.message()).find("tensors of 67108864 bytes in a message of "), 0u) << status;
}

TEST(NestedTensors, ThatAreManyAndSmallAreRefusedTogether) {
  v1::BackwardResponse response;
  for (int i = 0; i < 100; ++i) *response.add_gradients()->mutable_values() = OfShape({1 << 14});
  EXPECT_EQ(CheckElementsAreThere(response).code(), absl::StatusCode::kResourceExhausted);
  response.mutable_gradients()->DeleteSubrange(50, 50);
  EXPECT_TRUE(CheckElementsAreThere(response).ok());
}

}  // namespace
}  // namespace spikeserve::codec

// What the handlers of streams keep between two messages counts, so that it is bounded.

#include "handlers/stream_handlers.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "server/stream_testing.h"
#include "spikeserve/v1/streams.pb.h"
#include "support/envelopes.h"

namespace spikeserve::server {
namespace {

// A tensor of zeros.
void SetZeros(v1::DataType dtype, int64_t element_bytes, int64_t rows, int64_t cols, v1::Tensor& tensor) {
  tensor.set_dtype(dtype);
  tensor.add_shape(rows);
  tensor.add_shape(cols);
  tensor.set_data(std::string(static_cast<size_t>(rows * cols * element_bytes), '\0'));
}

class KeptBytesTest : public testing::StreamTest {
 protected:
  void Take(StreamHandler& handler, const google::protobuf::Message& message) {
    const auto envelope = testing::ToEnvelope(message, buffers_);
    ASSERT_TRUE(envelope.ok());
    const absl::Status taken = handler.Take(*envelope, /*held=*/nullptr, context_);
    ASSERT_TRUE(taken.ok()) << taken;
  }
};

TEST_F(KeptBytesTest, ClustersKeepTheLastSteps) {
  const auto handler = MakeStreamSpikeCluster();
  v1::StreamSpikeClusterRequest request;
  v1::Tensor& v_threshold = *request.mutable_open()->mutable_v_threshold();
  v_threshold.set_dtype(v1::DATA_TYPE_FLOAT32);
  v_threshold.add_shape(1000);
  v_threshold.set_data(std::string(4000, '\1'));
  request.mutable_open()->set_t_in(50);
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), 4000);
  request.clear_open();
  SetZeros(v1::DATA_TYPE_FLOAT32, 4, 100, 1000, *request.mutable_v());
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), 50 * 1000 * 4);
}

TEST_F(KeptBytesTest, ProductsKeepAllOfYTwice) {
  const auto handler = MakeStreamKernelDotProduct();
  v1::StreamKernelDotProductRequest request;
  request.mutable_open()->mutable_kernel()->mutable_linear();
  SetZeros(v1::DATA_TYPE_FLOAT32, 4, 100, 1000, *request.mutable_y());
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), 100 * 1000 * 4);
  request.clear_open();
  request.clear_y();
  SetZeros(v1::DATA_TYPE_FLOAT32, 4, 1, 1000, *request.mutable_x());
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), 2 * 100 * 1000 * 4);
}

// Rows fill whole registers.
TEST_F(KeptBytesTest, ProductsOfFewRowsKeepAsMuchAsOfSixteen) {
  const auto handler = MakeStreamKernelDotProduct();
  v1::StreamKernelDotProductRequest request;
  request.mutable_open()->mutable_kernel()->mutable_linear();
  SetZeros(v1::DATA_TYPE_FLOAT32, 4, 1, 10000, *request.mutable_y());
  request.mutable_y()->mutable_data()->replace(0, 4, "\0\0\0\x40", 4);  // 2
  SetZeros(v1::DATA_TYPE_FLOAT32, 4, 1, 10000, *request.mutable_x());
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), 16 * 10000 * 4);
}

TEST_F(KeptBytesTest, RowsWithoutColumnsHaveAnEnd) {
  limits_.max_decoded_bytes = 1 << 20;
  const auto handler = MakeStreamKernelDotProduct();
  v1::StreamKernelDotProductRequest request;
  request.mutable_open()->mutable_kernel()->mutable_linear();
  SetZeros(v1::DATA_TYPE_FLOAT32, 4, 1 << 20, 0, *request.mutable_y());
  Take(*handler, request);
  request.clear_open();
  const auto envelope = testing::ToEnvelope(request, buffers_);
  EXPECT_EQ(handler->Take(*envelope, /*held=*/nullptr, context_).code(), absl::StatusCode::kResourceExhausted);
  request.clear_y();
  SetZeros(v1::DATA_TYPE_FLOAT32, 4, 0, 0, *request.mutable_x());
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), (1 << 20) * 4) << "the squares of the rows";
}

TEST_F(KeptBytesTest, LossesKeepThePairsAndTheLabels) {
  const auto handler = MakeStreamSpikeSimilarLoss();
  v1::StreamSpikeSimilarLossRequest request;
  request.mutable_open()->mutable_kernel()->mutable_linear();
  request.mutable_open()->set_loss_type(v1::LOSS_TYPE_MSE);
  SetZeros(v1::DATA_TYPE_UINT8, 1, 10, 80000, *request.mutable_open()->mutable_labels());
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), 10 * 10000 + 10 * 10 * 8);
}

TEST_F(KeptBytesTest, RunsKeepWhatIsToBeRecorded) {
  const auto handler = MakeRun();
  v1::RunRequest request;
  for (int i = 0; i < 10; ++i) request.mutable_open()->add_records()->set_layer(std::string(1000, 'x'));
  Take(*handler, request);
  EXPECT_GE(handler->KeptBytes(), 10'000);
}

TEST_F(KeptBytesTest, FirstSpikesKeepNothing) {
  const auto handler = MakeStreamFirstSpikeIndex();
  v1::StreamFirstSpikeIndexRequest request;
  SetZeros(v1::DATA_TYPE_UINT8, 1, 1000, 1000, *request.mutable_open()->mutable_spikes());
  Take(*handler, request);
  EXPECT_EQ(handler->KeptBytes(), 0);
}

}  // namespace
}  // namespace spikeserve::server

// What the engine does with elements that another process may write to.

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "codec/typed_envelope.h"
#include "gtest/gtest.h"
#include "runtime/engine.h"
#include "spikeserve/v1/functions.pb.h"
#include "support/calls.h"

namespace spikeserve::server {
namespace {

// A request whose field `number` is shared, with elements of zeros.
template <typename Request>
codec::Envelope SharedRequest(
    int number, DataType dtype, Shape shape, const std::function<void(Request&)>& fill = [](Request&) {}) {
  static BufferPool& none = *new BufferPool(0);
  codec::Outgoing<Request> request(none);
  fill(*request);
  auto elements = std::make_shared<std::string>(static_cast<size_t>(*ByteCount(dtype, shape)), '\0');
  request.AddReference(number, TensorView(dtype, shape, elements->data()), elements);
  codec::Envelope envelope = std::move(request).Release();
  envelope.tensors[0].shared = true;
  return envelope;
}

struct Outcome {
  absl::Status status;
  bool at_once;
};

Outcome Perform(Engine& engine, const char* method, const codec::Envelope& request) {
  std::promise<Outcome> promise;
  Call call;
  call.path = method;
  call.request = [&request](const Message&, BufferPool&) { return &request; };
  call.may_compute_at_once = true;
  call.request_bytes = 10;
  testing::OnFinish(call, [&promise, caller = std::this_thread::get_id()](EnvelopeOr result) {
    promise.set_value({result.status(), std::this_thread::get_id() == caller});
  });
  engine.Submit(std::move(call));
  return promise.get_future().get();
}

// The large buffers that a call takes; results are small here, so that these are copies.
int64_t CopiesOf(const char* method, const codec::Envelope& request) {
  Engine engine({});
  const Outcome outcome = Perform(engine, method, request);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  return engine.buffers().statistics().buffers;
}

constexpr char kSpikeCluster[] = "/spikeserve.v1.SpikeFunctionService/SpikeCluster";
constexpr char kStcaLoss[] = "/spikeserve.v1.SpikeFunctionService/StcaLoss";
constexpr char kFirstSpikeIndex[] = "/spikeserve.v1.SpikeFunctionService/FirstSpikeIndex";
constexpr char kRedundantOneHot[] = "/spikeserve.v1.SpikeFunctionService/RedundantOneHot";
constexpr char kSpikeSimilarLoss[] = "/spikeserve.v1.SpikeFunctionService/SpikeSimilarLoss";

void One(v1::Tensor* tensor) {
  tensor->set_dtype(v1::DATA_TYPE_FLOAT32);
  tensor->add_values(1);
}

TEST(SharedElements, AreReadInPlaceWhereTheirValuesLeadNowhere) {
  const Shape shape = {1000, 100};
  const auto cluster = [&](DataType dtype) {
    codec::Envelope request = SharedRequest<v1::SpikeClusterRequest>(v1::SpikeClusterRequest::kVFieldNumber, dtype,
                                                                     shape, [](auto& r) { r.set_index_output(true); });
    codec::TensorField& threshold = request.tensors.emplace_back();
    threshold.number = v1::SpikeClusterRequest::kVThresholdFieldNumber;
    One(&threshold.header);
    return request;
  };
  EXPECT_EQ(CopiesOf(kSpikeCluster, cluster(DataType::kFloat32)), 0);
  EXPECT_EQ(CopiesOf(kSpikeCluster, cluster(DataType::kFloat64)), 0);

  codec::Envelope loss =
      SharedRequest<v1::StcaLossRequest>(v1::StcaLossRequest::kVFieldNumber, DataType::kFloat32, shape);
  for (const int number : {v1::StcaLossRequest::kVThresholdFieldNumber, v1::StcaLossRequest::kNDFieldNumber}) {
    codec::TensorField& field = loss.tensors.emplace_back();
    field.number = number;
    One(&field.header);
  }
  EXPECT_EQ(CopiesOf(kStcaLoss, loss), 0);

  EXPECT_EQ(CopiesOf(kFirstSpikeIndex, SharedRequest<v1::FirstSpikeIndexRequest>(
                                           v1::FirstSpikeIndexRequest::kSpikesFieldNumber, DataType::kBit, {1000, 1000},
                                           [](auto& r) { r.set_index_output(true); })),
            0);
}

TEST(SharedElements, AreOtherwiseCopiedOnce) {
  for (const DataType dtype : {DataType::kBool, DataType::kUint8, DataType::kFloat32}) {
    EXPECT_EQ(CopiesOf(kFirstSpikeIndex, SharedRequest<v1::FirstSpikeIndexRequest>(
                                             v1::FirstSpikeIndexRequest::kSpikesFieldNumber, dtype, {100, 1000},
                                             [](auto& r) { r.set_index_output(true); })),
              1);
  }
  codec::Envelope loss = SharedRequest<v1::SpikeSimilarLossRequest>(v1::SpikeSimilarLossRequest::kSpikesFieldNumber,
                                                                    DataType::kFloat32, {10, 10000}, [](auto& r) {
                                                                      r.mutable_kernel()->mutable_linear();
                                                                      r.set_loss_type(v1::LOSS_TYPE_MSE);
                                                                    });
  codec::TensorField& labels = loss.tensors.emplace_back();
  labels.number = v1::SpikeSimilarLossRequest::kLabelsFieldNumber;
  labels.header.set_dtype(v1::DATA_TYPE_BOOL);
  labels.header.add_shape(10);
  labels.header.add_shape(1);
  EXPECT_EQ(CopiesOf(kSpikeSimilarLoss, loss), 1);
}

TEST(SharedElements, CountForWhetherACallIsSmall) {
  Engine engine({});
  // No work at all, but a copy that takes its time.
  const auto request = SharedRequest<v1::RedundantOneHotRequest>(v1::RedundantOneHotRequest::kLabelsFieldNumber,
                                                                 DataType::kInt64, {1 << 20});
  const Outcome large = Perform(engine, kRedundantOneHot, request);
  EXPECT_FALSE(large.at_once);
  EXPECT_TRUE(absl::IsInvalidArgument(large.status)) << large.status;  // No classes.
  const Outcome small =
      Perform(engine, kRedundantOneHot,
              SharedRequest<v1::RedundantOneHotRequest>(v1::RedundantOneHotRequest::kLabelsFieldNumber,
                                                        DataType::kInt64, {10}, [](auto& r) {
                                                          r.set_num_classes(2);
                                                          r.set_n(1);
                                                        }));
  EXPECT_TRUE(small.at_once);
  EXPECT_TRUE(small.status.ok()) << small.status;
}

}  // namespace
}  // namespace spikeserve::server

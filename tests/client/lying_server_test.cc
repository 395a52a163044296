// A server that answers what was not asked for: the client tells, and neither reads nor writes beyond what there is.

#include <sys/mman.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/typed_envelope.h"
#include "connection.h"
#include "gtest/gtest.h"
#include "runtime/engine.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/training.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/streams.pb.h"
#include "spikeserve/v1/training.pb.h"
#include "support/address_space_limit.h"
#include "train/parameters.h"
#include "train/trainer.h"

namespace spikeserve {
namespace {

// Carries calls out, and changes their answers.
class Liar : public Connection {
 public:
  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    inner_->Start(rpc, [this, response = rpc.response, done = std::move(done)](absl::Status status) {
      if (status.ok() && change_) change_(*response);
      done(std::move(status));
    });
  }
  int64_t stream_above_bytes(int64_t /*divisor*/) const override { return answer_ ? 0 : INT64_MAX; }
  void Stream(std::shared_ptr<StreamExchange> exchange, absl::Time, std::function<void(absl::Status)> done) override {
    exchange->Begin();
    while (exchange->Send()) {
    }
    done(exchange->Receive(answer_(buffers())));
  }
  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc&) override {
    return absl::UnimplementedError("not streamed here");
  }
  BufferPool& buffers() override { return inner_->buffers(); }

  // Of the type `Message`: changes those answers.
  template <typename Message>
  void Change(std::function<void(Message&)> change) {
    change_ = [change = std::move(change)](codec::Envelope& response) {
      google::protobuf::Message& message = *response.message;
      if (message.GetDescriptor() == Message::descriptor()) change(static_cast<Message&>(message));
    };
  }
  // All of them, with the tensors that stand beside the message.
  void ChangeAll(std::function<void(codec::Envelope&)> change) { change_ = std::move(change); }
  // What each stream's one answer is.
  void Answer(std::function<codec::Envelope(BufferPool&)> answer) { answer_ = std::move(answer); }

 private:
  const std::shared_ptr<Connection> inner_ =
      MakeInProcessConnection(std::make_unique<server::Engine>(server::EngineOptions()));
  std::function<void(codec::Envelope&)> change_;
  std::function<codec::Envelope(BufferPool&)> answer_;
};

class LyingServer : public ::testing::Test {
 protected:
  const std::shared_ptr<Liar> liar_ = std::make_shared<Liar>();
  const Client client_{liar_};
};

TEST_F(LyingServer, StepsOfClustersThatTheVoltagesDoNotHaveAreRefused) {
  const std::vector<float> v(6), thresholds(2, 1);
  const SpikeClusterArgs args{.v = TensorView(absl::MakeConstSpan(v), {3, 2}),
                              .v_threshold = TensorView(absl::MakeConstSpan(thresholds))};
  const auto call = [&](std::vector<int32_t> positive, std::vector<int32_t> negative, DataType mask_dtype) {
    liar_->Answer([positive, negative](BufferPool& buffers) {
      using Response = v1::StreamSpikeClusterResponse;
      codec::Outgoing<Response> response(buffers);
      const std::vector<int32_t> n_o(2);
      codec::EncodeTensor(TensorView(absl::MakeConstSpan(n_o)), response.tensor(Response::kNOFieldNumber));
      codec::EncodeTensor(TensorView(absl::MakeConstSpan(positive)), response.tensor(Response::kKPositiveFieldNumber));
      codec::EncodeTensor(TensorView(absl::MakeConstSpan(negative)), response.tensor(Response::kKNegativeFieldNumber));
      return std::move(response).Release();
    });
    SpikeClusterArgs with_mask = args;
    with_mask.mask_dtype = mask_dtype;
    return client_.SpikeCluster(with_mask, {});
  };
  for (const DataType mask_dtype : {DataType::kBool, DataType::kBit}) {
    EXPECT_TRUE(call({-1, 2}, {0, 1}, mask_dtype).ok());
    for (const int32_t step : {3, 1 << 30, -2, INT32_MIN}) {
      EXPECT_EQ(call({step, 0}, {0, 0}, mask_dtype).status().code(), absl::StatusCode::kInternal) << step;
      EXPECT_EQ(call({0, 0}, {0, step}, mask_dtype).status().code(), absl::StatusCode::kInternal) << step;
    }
    EXPECT_EQ(call({0}, {0, 0}, mask_dtype).status().code(), absl::StatusCode::kInternal);
  }
}

TEST_F(LyingServer, AnAnswerThatThereIsNoMemoryForEndsItsCall) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator ends the program";
#endif
  constexpr size_t kSize = size_t{1} << 43;  // Pages that take no memory.
  void* const pages = mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) GTEST_SKIP() << "no addresses for them";
  const testing::AddressSpaceLimit limit(kSize + kSize / 8);
  const std::shared_ptr<const void> owner(pages, [](const void* begin) { munmap(const_cast<void*>(begin), kSize); });
  liar_->ChangeAll([&](codec::Envelope& response) {
    codec::TensorField& ret = *response.Find(v1::KernelDotProductResponse::kRetFieldNumber);
    ret.header.clear_shape();
    ret.header.add_shape(kSize / sizeof(float));
    ret.data = {static_cast<const uint8_t*>(pages), kSize, owner};
  });
  const std::vector<float> x(2, 1);
  const absl::Status status =
      client_.KernelDotProduct({.x = TensorView(absl::MakeConstSpan(x), {1, 2}), .kernel = LinearKernel{}}, {})
          .status();
  EXPECT_EQ(status, absl::ResourceExhaustedError("no memory for the server's response"));
}

v1::Tensor Huge() {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_BOOL);
  tensor.add_shape(int64_t{1} << 50);
  tensor.add_event_deltas(1);
  return tensor;
}

class LyingServerOfNetworks : public LyingServer {
 protected:
  const NetworkHandle network_ =
      *client_.CreateNetwork(train::FullyConnected({.inputs = 2, .hidden = {}, .outputs = 4}), {});
};

TEST_F(LyingServerOfNetworks, ParametersOfHugeShapesAreRefused) {
  liar_->Change<v1::GetNetworkResponse>(
      [](auto& response) { *response.mutable_layers(0)->mutable_linear()->mutable_weight() = Huge(); });
  EXPECT_EQ(network_.Get().status().code(), absl::StatusCode::kResourceExhausted);
  liar_->Change<v1::GetNetworkResponse>(
      [](auto& response) { *response.mutable_state()->add_layers()->mutable_v() = Huge(); });
  EXPECT_EQ(network_.Get().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(LyingServerOfNetworks, GradientsOfHugeShapesAreRefused) {
  liar_->Change<v1::BackwardResponse>([](auto& response) { *response.add_gradients()->mutable_values() = Huge(); });
  ASSERT_TRUE(network_.SetTraining(true).ok());
  const std::vector<float> input(2, 1), grad(4, 1);
  ASSERT_TRUE(client_
                  .Call(ForwardArgs{.network = network_.name(),
                                    .input = TensorView(absl::MakeConstSpan(input), {1, 1, 2}),
                                    .keep_trace = true},
                        {})
                  .ok());
  const auto got = client_.Call(BackwardArgs{.network = network_.name(),
                                             .grad_output = TensorView(absl::MakeConstSpan(grad), {1, 1, 4}),
                                             .include_gradients = true},
                                {});
  EXPECT_EQ(got.status().code(), absl::StatusCode::kResourceExhausted) << got.status();
}

TEST_F(LyingServerOfNetworks, RecordsThatWereNotAskedForAreNotCounted) {
  const train::DataSet data{.inputs = Tensor(DataType::kFloat32, {2, 2}), .labels = {0, 1}};
  train::TrainerOptions options;
  options.step = {.optimizer = Sgd{}, .num_classes = 2, .losses = {{.kind = CountLoss{}}}};
  options.steps = 3;
  auto trainer = train::Trainer::Create(client_, network_, data, nullptr, options);
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  ASSERT_TRUE(trainer->Evaluate(data).ok());

  const auto spikes = [](v1::DataType dtype, std::vector<int64_t> shape, size_t bytes, char value = 0) {
    return [=](v1::ForwardResponse& response) {
      v1::Tensor& tensor = *response.mutable_records(0)->mutable_spikes();
      tensor.Clear();
      tensor.set_dtype(dtype);
      for (const int64_t length : shape) tensor.add_shape(length);
      tensor.set_data(std::string(bytes, value));
    };
  };
  const std::function<void(v1::ForwardResponse&)> lies[] = {
      [](auto& response) { response.clear_records(); },
      [](auto& response) { response.mutable_records(0)->clear_spikes(); },
      [](auto& response) { response.add_records(); },
      spikes(v1::DATA_TYPE_FLOAT32, {3, 2, 4}, 96),
      spikes(v1::DATA_TYPE_BOOL, {3, 2, 4}, 24, '\2'),
      spikes(v1::DATA_TYPE_BOOL, {}, 1),
      spikes(v1::DATA_TYPE_BOOL, {24}, 24),
      spikes(v1::DATA_TYPE_BOOL, {2, 3, 4}, 24),
      spikes(v1::DATA_TYPE_BOOL, {3, 2, 0}, 0),
      spikes(v1::DATA_TYPE_BOOL, {3, 2, 1}, 6),
      spikes(v1::DATA_TYPE_BOOL, {3, 2, 3}, 18),
  };
  for (const auto& lie : lies) {
    liar_->Change<v1::ForwardResponse>(lie);
    EXPECT_FALSE(trainer->Evaluate(data).ok());
    liar_->Change<v1::ForwardResponse>([](auto&) {});
    EXPECT_TRUE(trainer->Evaluate(data).ok());
  }
}

}  // namespace
}  // namespace spikeserve

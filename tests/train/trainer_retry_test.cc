// A training whose answers are lost on the way, now and then.

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connection.h"
#include "gtest/gtest.h"
#include "runtime/engine.h"
#include "spikeserve/client/client.h"
#include "train/parameters.h"
#include "train/random.h"
#include "train/trainer.h"

namespace spikeserve::train {
namespace {

// Carries every call out; that of each `every`th the caller hears only that it failed.
class LosesAnswers : public Connection {
 public:
  LosesAnswers(std::shared_ptr<Connection> inner, int every) : inner_(std::move(inner)), every_(every) {}

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    unrepeatable_ += !rpc.repeatable;
    if (!rpc.repeatable || ++calls_ % every_ != 0) return inner_->Start(rpc, std::move(done));
    ++lost_;
    auto response = std::make_shared<codec::Envelope>();
    response->message.reset(rpc.response->message->New());
    Rpc dropped = rpc;
    dropped.response = response.get();
    inner_->Start(dropped, [response, done](const absl::Status&) { done(absl::UnavailableError("lost")); });
  }

  int64_t stream_above_bytes(int64_t divisor) const override { return inner_->stream_above_bytes(divisor); }
  void Stream(std::shared_ptr<StreamExchange>, absl::Time, std::function<void(absl::Status)> done) override {
    done(absl::UnimplementedError("not streamed here"));
  }
  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc&) override {
    return absl::UnimplementedError("not streamed here");
  }
  BufferPool& buffers() override { return inner_->buffers(); }

  int lost() const { return lost_; }
  int unrepeatable() const { return unrepeatable_; }

 private:
  const std::shared_ptr<Connection> inner_;
  const int every_;
  std::atomic<int> calls_ = 0, lost_ = 0, unrepeatable_ = 0;
};

// Two classes that one of two features tells apart.
DataSet Pairs() {
  Random random(1, Purpose::kSplit, 0);
  DataSet data{.inputs = Tensor(DataType::kFloat32, {40, 2}), .labels = {}};
  for (int64_t i = 0; i < 40; ++i) {
    data.labels.push_back(i % 2);
    for (int64_t f = 0; f < 2; ++f) {
      data.inputs.values<float>()[i * 2 + f] = static_cast<float>((f == i % 2) + random.Uniform());
    }
  }
  return data;
}

struct Trained {
  std::vector<float> weights;
  double test_accuracy;
};

Trained Train(const Client& client, const DataSet& data) {
  const NetworkHandle network = *client.CreateNetwork(FullyConnected({.inputs = 2, .hidden = {8}, .outputs = 2}));
  TrainerOptions options;
  options.step = {.optimizer = Adam{.learning_rate = 0.01}, .num_classes = 2, .losses = {{.kind = CountLoss{}}}};
  options.epochs = 3;
  options.batch_size = 8;
  auto trainer = Trainer::Create(client, network, data, &data, options);
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  Trained trained;
  EXPECT_EQ(trainer->Run([&](const Progress& progress) {
    trained.test_accuracy = progress.test_accuracy.value_or(0);
    return true;
  }),
            absl::OkStatus());
  const GetNetworkArgs::Result result = *network.Get();
  for (const size_t layer : {0, 2}) {
    const RowMatrix<float>& weight = std::get<LinearLayer>(result.layers[layer].kind).weight;
    trained.weights.insert(trained.weights.end(), weight.data(), weight.data() + weight.size());
  }
  return trained;
}

TEST(TrainerRetry, ALostAnswerChangesNothing) {
  const DataSet data = Pairs();
  const Trained wanted = Train(*Client::InProcess(), data);
  for (const int every : {2, 3, 5}) {
    const auto lossy = std::make_shared<LosesAnswers>(
        MakeInProcessConnection(std::make_unique<server::Engine>(server::EngineOptions())), every);
    const Client client(
        MakeRetryConnection(lossy, {}, [](absl::Duration, const std::function<void()>& again) { again(); }));
    const Trained got = Train(client, data);
    EXPECT_EQ(got.weights, wanted.weights) << every;
    EXPECT_EQ(got.test_accuracy, wanted.test_accuracy) << every;
    EXPECT_GT(lossy->lost(), 5);
    // To make the network and to delete it.
    EXPECT_EQ(lossy->unrepeatable(), 2);
  }
}

}  // namespace
}  // namespace spikeserve::train

#include "train/trainer.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/checkpoint.h"
#include "spikeserve/compute/field_error.h"
#include "support/test_folder.h"
#include "train/parameters.h"
#include "train/random.h"

namespace spikeserve::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kClasses = 3;

// Samples of three classes around three points of 5 features, not all of them easy.
DataSet Clouds(int64_t samples, uint64_t seed) {
  Random random(seed, Purpose::kSplit, 0);
  DataSet data{.inputs = Tensor(DataType::kFloat32, {samples, 5}), .labels = {}};
  for (int64_t i = 0; i < samples; ++i) {
    const int64_t label = i % kClasses;
    data.labels.push_back(label);
    for (int64_t f = 0; f < 5; ++f) {
      data.inputs.values<float>()[i * 5 + f] = static_cast<float>((f == label ? 0.7 : 0.0) + random.Uniform());
    }
  }
  return data;
}

TrainerOptions Options(int64_t epochs) {
  TrainerOptions options;
  options.step.optimizer = Adam{.learning_rate = 0.01};
  options.step.num_classes = kClasses;
  options.step.losses = {{.kind = CountLoss{}}};
  options.steps = 4;
  options.epochs = epochs;
  options.batch_size = 16;
  options.seed = 3;
  return options;
}

std::vector<LayerSpec> Layers(int64_t per_class = 1) {
  LifNode neuron;
  neuron.tau = 2;
  neuron.surrogate = SigmoidSurrogate{4};
  return FullyConnected({.inputs = 5, .hidden = {20}, .outputs = kClasses * per_class, .neuron = neuron, .seed = 1});
}

// The parameters, end to end.
std::vector<float> Parameters(const NetworkHandle& network) {
  std::vector<float> values;
  const absl::StatusOr<GetNetworkArgs::Result> result = network.Get();
  for (const LayerSpec& layer : result->layers) {
    const auto* linear = std::get_if<LinearLayer>(&layer.kind);
    if (linear == nullptr) continue;
    values.insert(values.end(), linear->weight.data(), linear->weight.data() + linear->weight.size());
    values.insert(values.end(), linear->bias.begin(), linear->bias.end());
  }
  return values;
}

class TrainerTest : public ::testing::Test {
 protected:
  static bool GoOn(const Progress&) { return true; }

  // Trains a new network to the end.
  std::vector<float> Train(const Client& client, const DataSet& data, const TrainerOptions& options) {
    const NetworkHandle network = *client.CreateNetwork(Layers());
    EXPECT_EQ(Trainer::Create(client, network, data, nullptr, options)->Run(GoOn), absl::OkStatus());
    return Parameters(network);
  }

  const Client client_ = *Client::InProcess();
  const DataSet training_ = Clouds(100, 1);
  const DataSet test_ = Clouds(60, 2);
};

TEST_F(TrainerTest, LearnsWhatItIsShown) {
  const NetworkHandle network = *client_.CreateNetwork(Layers());
  auto trainer = Trainer::Create(client_, network, training_, &test_, Options(20));
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  const Evaluation before = *trainer->Evaluate(test_);
  std::vector<Progress> epochs;
  ASSERT_EQ(trainer->Run([&](const Progress& progress) {
    if (progress.epoch_ended) epochs.push_back(progress);
    return true;
  }),
            absl::OkStatus());
  ASSERT_EQ(epochs.size(), 20u);
  EXPECT_LT(epochs.back().loss, 0.7 * epochs.front().loss);
  EXPECT_LT(before.accuracy(), 0.6);
  EXPECT_GT(*epochs.back().test_accuracy, 0.8);
  EXPECT_GT(epochs.back().training_accuracy, 0.8);
  EXPECT_EQ(trainer->Evaluate(test_)->accuracy(), *epochs.back().test_accuracy);
}

TEST_F(TrainerTest, TellsOfEachStepAndEpoch) {
  const NetworkHandle network = *client_.CreateNetwork(Layers());
  Trainer trainer = *Trainer::Create(client_, network, training_, nullptr, Options(2));
  EXPECT_EQ(trainer.steps_per_epoch(), 7);
  EXPECT_EQ(trainer.steps_wanted(), 14);
  std::vector<int64_t> epochs, samples, run_samples, ends;
  ASSERT_EQ(trainer.Run([&](const Progress& progress) {
    epochs.push_back(progress.epoch);
    samples.push_back(progress.samples);
    run_samples.push_back(progress.run_samples);
    ends.push_back(progress.epoch_ended);
    EXPECT_FALSE(progress.test_accuracy);
    return true;
  }),
            absl::OkStatus());
  EXPECT_THAT(epochs, ElementsAre(1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2));
  EXPECT_THAT(samples, ElementsAre(16, 32, 48, 64, 80, 96, 100, 16, 32, 48, 64, 80, 96, 100));
  EXPECT_THAT(run_samples, ElementsAre(16, 32, 48, 64, 80, 96, 100, 116, 132, 148, 164, 180, 196, 200));
  EXPECT_THAT(ends, ElementsAre(0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1));
  EXPECT_EQ(trainer.steps_done(), 14);
}

TEST_F(TrainerTest, TheSameSeedGivesTheSameWeightsForEveryNumberOfThreads) {
  const std::vector<float> one = Train(*Client::InProcess({.threads = 1}), training_, Options(3));
  EXPECT_EQ(Train(*Client::InProcess({.threads = 1}), training_, Options(3)), one);
  EXPECT_EQ(Train(*Client::InProcess({.threads = 2}), training_, Options(3)), one);
  TrainerOptions other = Options(3);
  other.seed = 4;
  EXPECT_NE(Train(client_, training_, other), one);
}

TEST_F(TrainerTest, ConstantCurrentsAreTheSameAsThoseThatComeWithTheirSteps) {
  DataSet timed{.inputs = Tensor(DataType::kFloat32, {100, 4, 5}), .labels = training_.labels, .has_time = true};
  for (int64_t i = 0; i < timed.inputs.size(); ++i) {
    timed.inputs.values<float>()[i] = training_.inputs.values<float>()[i / 20 * 5 + i % 5];
  }
  TrainerOptions options = Options(2);
  const std::vector<float> weights = Train(client_, training_, options);
  options.steps = 99;  // Is not looked at.
  EXPECT_EQ(Train(client_, timed, options), weights);
}

TEST_F(TrainerTest, ATrainingThatIsInterruptedAndResumedGivesTheSameWeights) {
  const std::vector<float> whole = Train(client_, training_, Options(3));
  // At the end of an epoch, in the middle of one, and before the first step.
  for (const int64_t steps : {7, 10, 0}) {
    const testing::TestFolder folder;
    const std::string path = folder.Path("trained.ckpt");
    {
      const NetworkHandle network = *client_.CreateNetwork(Layers());
      Trainer trainer = *Trainer::Create(client_, network, training_, nullptr, Options(steps == 0 ? 0 : 3));
      ASSERT_EQ(trainer.Run([&](const Progress&) { return trainer.steps_done() < steps; }), absl::OkStatus());
      EXPECT_EQ(trainer.steps_done(), steps);
      ASSERT_EQ(WriteCheckpoint(*TakeCheckpoint(network), path), absl::OkStatus());
    }
    const NetworkHandle network = *client_.RestoreNetwork(*ReadCheckpoint(path));
    Trainer trainer = *Trainer::Create(client_, network, training_, nullptr, Options(3));
    EXPECT_EQ(trainer.steps_done(), steps);
    std::optional<Progress> last;
    ASSERT_EQ(trainer.Run([&](const Progress& progress) {
      last = progress;
      return true;
    }),
              absl::OkStatus());
    EXPECT_EQ(last->run_samples, 300 - (steps == 10 ? 148 : steps == 7 ? 100 : 0));
    EXPECT_EQ(Parameters(network), whole) << steps;
  }
}

TEST_F(TrainerTest, AnotherKindOfOptimizerBeginsAnew) {
  const NetworkHandle network = *client_.CreateNetwork(Layers());
  ASSERT_EQ(Trainer::Create(client_, network, training_, nullptr, Options(1))->Run(GoOn), absl::OkStatus());
  TrainerOptions options = Options(1);
  EXPECT_EQ(Trainer::Create(client_, network, training_, nullptr, options)->steps_done(), 7);
  options.step.optimizer = Sgd{};
  EXPECT_EQ(Trainer::Create(client_, network, training_, nullptr, options)->steps_done(), 0);
}

TEST_F(TrainerTest, EvaluatesWhateverTheBatchAndLeavesTheNetworkAsItWas) {
  const NetworkHandle network = *client_.CreateNetwork(Layers(/*per_class=*/4));
  ASSERT_EQ(Trainer::Create(client_, network, training_, nullptr, Options(5))->Run(GoOn), absl::OkStatus());
  const std::vector<float> weights = Parameters(network);
  std::vector<int64_t> correct;
  for (const int64_t batch : {1, 7, 60, 1000}) {
    TrainerOptions options = Options(5);
    options.batch_size = batch;
    const Evaluation result = *Trainer::Create(client_, network, training_, nullptr, options)->Evaluate(test_);
    EXPECT_EQ(result.samples, 60);
    correct.push_back(result.correct);
  }
  EXPECT_THAT(correct, ::testing::Each(correct[0]));
  EXPECT_EQ(Parameters(network), weights);
  const GetNetworkArgs::Result state = *network.Get({.include_state = true});
  EXPECT_TRUE(state.state.sample_shape.empty());
  EXPECT_FALSE(state.training);
}

TEST_F(TrainerTest, CountsSpikesAsTrainStepDoes) {
  // With a learning rate of 0 a step changes nothing: what it counts as correct is what Evaluate counts.
  const NetworkHandle network = *client_.CreateNetwork(Layers(/*per_class=*/2));
  ASSERT_EQ(Trainer::Create(client_, network, training_, nullptr, Options(6))->Run(GoOn), absl::OkStatus());
  TrainerOptions options = Options(100);
  options.step.optimizer = Sgd{.learning_rate = 0};
  Trainer trainer = *Trainer::Create(client_, network, training_, nullptr, options);
  double accuracy = 0;
  ASSERT_EQ(trainer.Run([&](const Progress& progress) {
    accuracy = progress.training_accuracy;
    return !progress.epoch_ended;
  }),
            absl::OkStatus());
  EXPECT_EQ(trainer.Evaluate(training_)->accuracy(), accuracy);
  EXPECT_GT(accuracy, 0.4);
  EXPECT_LT(accuracy, 1);
}

TEST_F(TrainerTest, RefusesOptionsOutOfTheirRange) {
  const NetworkHandle network = *client_.CreateNetwork(Layers());
  const auto field = [&](void (*change)(TrainerOptions&)) {
    TrainerOptions options = Options(1);
    change(options);
    return FieldOf(Trainer::Create(client_, network, training_, nullptr, options).status());
  };
  EXPECT_EQ(field([](TrainerOptions& o) { o.steps = 0; }), "steps");
  EXPECT_EQ(field([](TrainerOptions& o) { o.epochs = -1; }), "epochs");
  EXPECT_EQ(field([](TrainerOptions& o) { o.batch_size = 0; }), "batch_size");
  EXPECT_EQ(field([](TrainerOptions& o) { o.step.num_classes = 0; }), "num_classes");

  const NetworkHandle silent = *client_.CreateNetwork({{"fc", LinearLayer{.weight = RowMatrix<float>::Zero(3, 5)}}});
  EXPECT_EQ(FieldOf(Trainer::Create(client_, silent, training_, nullptr, Options(1)).status()), "layers");

  TrainerOptions four = Options(1);
  four.step.num_classes = 4;
  Trainer trainer = *Trainer::Create(client_, network, training_, nullptr, four);
  EXPECT_EQ(FieldOf(trainer.Evaluate(test_).status()), "output_layer");
  EXPECT_EQ(trainer.Run(GoOn).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TrainerTest, ANetworkThatIsGoneIsNotFound) {
  NetworkHandle network = *client_.CreateNetwork(Layers());
  Trainer trainer = *Trainer::Create(client_, network, training_, nullptr, Options(1));
  ASSERT_EQ(network.Delete(), absl::OkStatus());
  EXPECT_EQ(trainer.Run(GoOn).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace spikeserve::train

// Checkpoints, over every transport: a network that is made of one goes on as the other does, to the bit.

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/checkpoint.h"
#include "spikeserve/compute/field_error.h"
#include "suites/training_testing.h"
#include "suites/transport.h"
#include "support/test_folder.h"

namespace spikeserve::testing {
namespace {

// The layers of training, with a monitor, soft resets and thresholds of their own besides.
std::vector<LayerSpec> Layers() {
  std::vector<LayerSpec> layers = TwoClassLayers();
  std::get<PlifNode>(layers[1].kind).monitor = true;
  std::get<RifNode>(layers.back().kind).v_reset = std::nullopt;
  LifNode last;
  last.tau = 3;
  last.v_reset = -0.1f;
  last.surrogate = BilinearLeakyReluSurrogate{0.9, 0.02, 0.4};
  last.v_threshold = ThresholdTensor{{8, 4}, std::vector<float>(32, 0.3f)};
  layers.push_back({.kind = IfNode()});
  layers.push_back({.kind = last});
  layers.push_back({.name = "mask 2", .kind = Dropout{0.5, 7}});
  return layers;
}

const std::vector<int64_t> kLabels = {0, 1, 1, 0, 1, 0, 0, 1};

TrainStepOptions TrainOptions(const Optimizer& optimizer) {
  return {.optimizer = optimizer,
          .num_classes = 2,
          .losses = {{.kind = RateLoss{}}, {.layer = "hidden", .kind = SimilarityLoss{}}}};
}

GetNetworkArgs::Result Everything(const NetworkHandle& network) {
  auto got = network.Get({.include_state = true, .include_optimizer_state = true, .include_gradients = true});
  EXPECT_TRUE(got.ok()) << got.status();
  return *std::move(got);
}

class CheckpointSuite : public TransportTest {
 protected:
  NetworkHandle Create() {
    auto network = client().CreateNetwork(Layers());
    EXPECT_TRUE(network.ok()) << network.status();
    return *std::move(network);
  }

  // Leaves something of everything that a network has: what the optimiser remembers, gradients, masks that were drawn,
  // a state in the middle of a sequence, and what a checkpoint does not hold: monitors' records, and a trace.
  void Work(const NetworkHandle& network, const Optimizer& optimizer) {
    const Numbers input({5, 8, 6}, 1), grad({5, 8, 4}, 2);
    for (int i = 0; i < 2; ++i) {
      const auto step = network.TrainStep({.input = input, .labels = kLabels, .options = TrainOptions(optimizer)});
      ASSERT_TRUE(step.ok()) << step.status();
    }
    ASSERT_TRUE(network.SetTraining(true).ok());
    ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
    ASSERT_TRUE(network.Backward({.grad_output = grad}).ok());
    ASSERT_TRUE(network.Forward({.input = input, .keep_trace = true}).ok());
  }

  // Makes a network of a checkpoint of the other, by way of `passed`, and lets both go on.
  template <typename Pass>
  void ExpectGoesOn(const NetworkHandle& network, const Optimizer& optimizer, const Pass& pass) {
    auto checkpoint = TakeCheckpoint(network);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    absl::StatusOr<CreateNetworkArgs> passed = pass(*std::move(checkpoint));
    ASSERT_TRUE(passed.ok()) << passed.status();
    const auto restored = client().RestoreNetwork(*passed);
    ASSERT_TRUE(restored.ok()) << restored.status();
    EXPECT_EQ(BitsOf(Everything(*restored)), BitsOf(Everything(network)));
    EXPECT_EQ(restored->Get()->next_step, 0u);

    const Numbers input({3, 8, 6}, 5), grad({3, 8, 4}, 6);
    const auto both = [&](const auto& fn) {
      SCOPED_TRACE("next");
      fn(network, *restored);
      EXPECT_EQ(BitsOf(Everything(*restored)), BitsOf(Everything(network)));
    };
    const auto forward = [&](const NetworkHandle& a, const NetworkHandle& b) {
      const ForwardArgs args{.input = input,
                             .records = {{.layer = "hidden", .spikes = true, .v_before_reset = true},
                                         {.layer = "out", .v_after_reset = true}},
                             .keep_trace = true};
      const auto of_a = a.Forward(args), of_b = b.Forward(args);
      ASSERT_TRUE(of_a.ok() && of_b.ok()) << of_a.status() << of_b.status();
      EXPECT_EQ(of_b->output.ToDoubles(), of_a->output.ToDoubles());
      EXPECT_EQ(of_b->records[0].spikes->ToDoubles(), of_a->records[0].spikes->ToDoubles());
      EXPECT_EQ(of_b->records[0].v_before_reset->ToDoubles(), of_a->records[0].v_before_reset->ToDoubles());
      EXPECT_EQ(of_b->records[1].v_after_reset->ToDoubles(), of_a->records[1].v_after_reset->ToDoubles());
    };
    const auto backward = [&](const NetworkHandle& a, const NetworkHandle& b) {
      const BackwardArgs args{.grad_output = grad, .compute_grad_input = true, .include_gradients = true};
      const auto of_a = a.Backward(args), of_b = b.Backward(args);
      ASSERT_TRUE(of_a.ok() && of_b.ok()) << of_a.status() << of_b.status();
      EXPECT_EQ(of_b->grad_input->ToDoubles(), of_a->grad_input->ToDoubles());
      ExpectSame(of_b->gradients, of_a->gradients);
    };
    const auto reset = [](const NetworkHandle& a, const NetworkHandle& b) {
      EXPECT_TRUE(a.Reset().ok() && b.Reset().ok());
    };
    // In the state that was left, whose trace only one of them had; then with masks drawn anew.
    if (network.Get({.include_state = true})->state.sample_shape.empty()) {
      both(forward);
    } else {
      ASSERT_TRUE(network.Forward({.input = input}).ok() && restored->Forward({.input = input}).ok());
      both(forward);
    }
    both(backward);
    both(reset);
    both(forward);
    both(backward);
    both([&](const NetworkHandle& a, const NetworkHandle& b) {
      EXPECT_TRUE(a.ApplyGradients(optimizer).ok() && b.ApplyGradients(optimizer).ok());
    });
    for (int i = 0; i < 2; ++i) {
      both([&](const NetworkHandle& a, const NetworkHandle& b) {
        const TrainStepArgs args{.input = input, .labels = kLabels, .options = TrainOptions(optimizer)};
        const auto of_a = a.TrainStep(args), of_b = b.TrainStep(args);
        ASSERT_TRUE(of_a.ok() && of_b.ok()) << of_a.status() << of_b.status();
        ExpectSame(*of_b, *of_a);
      });
    }
    both([](const NetworkHandle& a, const NetworkHandle& b) {
      EXPECT_TRUE(a.SetTraining(false).ok() && b.SetTraining(false).ok());
    });
    both(forward);
  }

  // By way of a file of that name.
  static absl::StatusOr<CreateNetworkArgs> PassThroughFile(const CreateNetworkArgs& checkpoint, const char* name) {
    const TestFolder folder;
    const std::string path = folder.Path(name);
    if (absl::Status status = WriteCheckpoint(checkpoint, path); !status.ok()) return status;
    return ReadCheckpoint(path);
  }
};
SPIKESERVE_OVER_ALL_TRANSPORTS(CheckpointSuite);

const Optimizer kAdam = Adam{.learning_rate = 0.02, .weight_decay = 0.1};
const Optimizer kSgd = Sgd{.learning_rate = 0.05, .momentum = 0.9};

TEST_P(CheckpointSuite, ANetworkOfACheckpointGoesOn) {
  for (const Optimizer& optimizer : {kAdam, kSgd}) {
    const NetworkHandle network = Create();
    Work(network, optimizer);
    ExpectGoesOn(network, optimizer,
                 [](CreateNetworkArgs checkpoint) { return absl::StatusOr<CreateNetworkArgs>(std::move(checkpoint)); });
  }
}

TEST_P(CheckpointSuite, ANetworkOfABinaryFileGoesOn) {
  const NetworkHandle network = Create();
  Work(network, kAdam);
  ExpectGoesOn(network, kAdam, [](const CreateNetworkArgs& c) { return PassThroughFile(c, "checkpoint.pb"); });
}

TEST_P(CheckpointSuite, ANetworkOfAJsonFileGoesOn) {
  const NetworkHandle network = Create();
  Work(network, kAdam);
  ExpectGoesOn(network, kAdam, [](const CreateNetworkArgs& c) { return PassThroughFile(c, "checkpoint.json"); });
}

TEST_P(CheckpointSuite, ANewNetworkHasACheckpoint) {
  const NetworkHandle network = Create();
  ExpectGoesOn(network, kSgd, [](const CreateNetworkArgs& c) { return PassThroughFile(c, "new.pb"); });
}

TEST_P(CheckpointSuite, ANetworkThatWasResetKeepsWhatItLearntAndTheMasksItDrew) {
  const NetworkHandle network = Create();
  Work(network, kAdam);
  ASSERT_TRUE(network.Reset().ok());
  ExpectGoesOn(network, kAdam, [](const CreateNetworkArgs& c) { return PassThroughFile(c, "reset.json"); });
}

TEST_P(CheckpointSuite, MonitorsAndTheTraceAreNotPartOfIt) {
  const NetworkHandle network = Create();
  Work(network, kAdam);
  const auto checkpoint = TakeCheckpoint(network);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto restored = client().RestoreNetwork(*checkpoint);
  ASSERT_TRUE(restored.ok()) << restored.status();
  const auto of_network = network.Get(/*include_monitors=*/true), of_restored = restored->Get(true);
  ASSERT_TRUE(of_network.ok() && of_restored.ok());
  ASSERT_EQ(of_network->monitors.size(), 1u);
  ASSERT_EQ(of_restored->monitors.size(), 1u);
  EXPECT_EQ(of_network->monitors[0].spikes->shape(), Shape({10, 8, 10}));
  EXPECT_EQ(of_restored->monitors[0].spikes->size(), 0);
  const Numbers grad({5, 8, 4}, 2);
  EXPECT_EQ(restored->Backward({.grad_output = grad}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(network.Backward({.grad_output = grad}).ok());
  // The monitor records from here on.
  ASSERT_TRUE(restored->Forward({.input = Numbers({3, 8, 6}, 1)}).ok());
  EXPECT_EQ(restored->Get(true)->monitors[0].spikes->shape(), Shape({3, 8, 10}));
}

TEST_P(CheckpointSuite, TakingOneChangesNothing) {
  const NetworkHandle network = Create();
  Work(network, kAdam);
  const std::string before = BitsOf(Everything(network));
  const int64_t held = BytesHeld(client());
  ASSERT_TRUE(TakeCheckpoint(network).ok());
  EXPECT_EQ(BitsOf(Everything(network)), before);
  EXPECT_EQ(BytesHeld(client()), held);
  EXPECT_TRUE(network.Backward({.grad_output = Numbers({5, 8, 4}, 2)}).ok());
}

}  // namespace
}  // namespace spikeserve::testing

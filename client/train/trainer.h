// Trains a network on a data set, in epochs of batches.
//
//   Trainer trainer = *Trainer::Create(client, network, training, test, options);
//   absl::Status status = trainer.Run([](const Progress& p) { std::cerr << p.loss << "\n"; return true; });
//
// All that happens follows from the options, the data and the network: the same seed gives the same weights, in process
// or on a server, with any number of threads. Each change carries its number, so that one whose answer is lost is made
// again without being made twice.

#ifndef SPIKESERVE_TRAIN_TRAINER_H_
#define SPIKESERVE_TRAIN_TRAINER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/training.h"
#include "train/data_set.h"

namespace spikeserve::train {

struct TrainerOptions {
  // The optimiser, the losses, num_classes, the output layer and its margin.
  TrainStepOptions step;
  // How many steps a constant current is shown, >= 1. Data with time has its own number.
  int64_t steps = 8;
  // In all, with those that the network has behind it; >= 0.
  int64_t epochs = 1;
  // >= 1. An epoch's last batch may be smaller.
  int64_t batch_size = 64;
  // Chooses the order of the samples in each epoch.
  uint64_t seed = 0;
  // For each call.
  CallOptions call = {};
};

// The samples that are classified right: for whose class the output layer fires most (of equal ones the first).
struct Evaluation {
  int64_t correct = 0;
  int64_t samples = 0;
  double accuracy() const { return samples == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(samples); }
};

struct Progress {
  // Counted from 1.
  int64_t epoch;
  // Of this epoch, up to now; without those that an earlier run trained on.
  int64_t samples;
  // The mean over these samples, each before the step that it was part of: of the loss, and of being classified right
  // (in training mode, with the margin).
  double loss;
  double training_accuracy;
  // At the end of the last epoch; nullopt without a test set, and before.
  std::optional<double> test_accuracy;
  // Of the run, and what was spent on training them.
  int64_t run_samples;
  absl::Duration run_time;
  // Whether the epoch ends with this step.
  bool epoch_ended;
};

// Thread-compatible. The client, the network and the data sets must outlive it, and nobody else may change the network
// meanwhile.
class Trainer {
 public:
  // Puts the network in evaluation mode, and in its initial state. Where its optimiser, of the same kind, has made
  // steps before, the training goes on behind them: a run that was interrupted, and one from a checkpoint, gives the
  // weights of one that was not. `test` may be null.
  // INVALID_ARGUMENT for options out of their range, and a network without a spiking layer; the calls' errors.
  static absl::StatusOr<Trainer> Create(const Client& client, const NetworkHandle& network, const DataSet& training,
                                        const DataSet* test, const TrainerOptions& options);

  // Trains to the end of the last epoch. `show` is called after each step (at the end of an epoch after the test); the
  // training stops there where it returns false. Errors are the calls': the network is then as after its last step.
  absl::Status Run(absl::FunctionRef<bool(const Progress&)> show);

  // Runs the network on the samples, and resets it.
  absl::StatusOr<Evaluation> Evaluate(const DataSet& data);

  // The steps of the optimiser up to now, and after the last epoch.
  int64_t steps_done() const { return steps_done_; }
  int64_t steps_wanted() const { return options_.epochs * steps_per_epoch(); }
  int64_t steps_per_epoch() const { return (training_->size() + options_.batch_size - 1) / options_.batch_size; }

 private:
  Trainer(const Client& client, const NetworkHandle& network, const DataSet& training, const DataSet* test,
          const TrainerOptions& options)
      : client_(client), network_(network.name()), training_(&training), test_(test), options_(options) {}

  // Asks for the network's layers and the steps behind it.
  absl::Status Prepare();
  absl::Status Reset();
  absl::StatusOr<TrainStepResult> Step(absl::Span<const int64_t> samples);
  // [T, B, features ...].
  Tensor SteppedBatch(const DataSet& data, absl::Span<const int64_t> samples) const;
  // The order of an epoch's samples, epochs counted from 0.
  std::vector<int64_t> Order(int64_t epoch) const;

  Client client_;
  std::string network_;
  const DataSet* training_;
  const DataSet* test_;
  TrainerOptions options_;
  std::string output_layer_;
  uint64_t next_step_ = 0;
  int64_t steps_done_ = 0;
};

}  // namespace spikeserve::train

#endif  // SPIKESERVE_TRAIN_TRAINER_H_

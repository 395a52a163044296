// Options of the commands that train.

#ifndef SPIKESERVE_CLI_TRAINING_FLAGS_H_
#define SPIKESERVE_CLI_TRAINING_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "spikeserve/compute/optimizer.h"
#include "spikeserve/compute/training.h"

namespace spikeserve::cli {

// --optimizer and its parameters.
class OptimizerFlags {
 public:
  void AddTo(CLI::App& app);
  // UsageError for another optimiser's parameter.
  absl::StatusOr<Optimizer> Get() const;

 private:
  bool adam_ = true;
  std::optional<double> learning_rate_, momentum_, weight_decay_, beta1_, beta2_, epsilon_;
};

// --loss, --margin and --output-layer.
class LossFlags {
 public:
  // `is_required`: there is no default loss.
  void AddTo(CLI::App& app, bool is_required);
  // The options of a step, but for the optimiser and the number of classes. UsageError for what is no loss.
  absl::StatusOr<TrainStepOptions> Get() const;

 private:
  std::vector<std::string> losses_;
  std::string output_layer_;
  bool margin_ = false;
  std::optional<double> threshold0_, threshold1_;
};

// Parses "KIND,KEY=VALUE,...": "count", "similarity,layer=hidden,weight=0.1,kernel=gaussian,sigma=3". UsageError for
// what is none.
absl::StatusOr<LossTerm> ParseLoss(const std::string& text);

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_TRAINING_FLAGS_H_

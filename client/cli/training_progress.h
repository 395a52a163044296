// What spikectl train shows while it trains, and of it in the end.

#ifndef SPIKESERVE_CLI_TRAINING_PROGRESS_H_
#define SPIKESERVE_CLI_TRAINING_PROGRESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/report.h"
#include "train/trainer.h"

namespace spikeserve::cli {

double SamplesPerSecond(const train::Progress& progress);

// On a terminal a line that changes, elsewhere a line for each epoch, on stderr.
class TrainingProgress {
 public:
  enum class Style { kQuiet, kLines, kTerminal };

  TrainingProgress(Style style, int64_t epochs) : style_(style), epochs_(epochs) {}
  // Takes the line away.
  ~TrainingProgress();

  void Show(const train::Progress& progress);

 private:
  std::string Line(const train::Progress& progress) const;

  const Style style_;
  const int64_t epochs_;
  absl::Time shown_ = absl::InfinitePast();
};

// The epochs that have ended.
class TrainingHistory {
 public:
  void Add(const train::Progress& progress) { epochs_.push_back(progress); }
  bool empty() const { return epochs_.empty(); }
  Json ToJson() const;
  // The losses and accuracies over the epochs, as PNG or SVG.
  absl::Status Draw(const std::string& path) const;

 private:
  std::vector<train::Progress> epochs_;
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_TRAINING_PROGRESS_H_

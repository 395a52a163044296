// The data of spikectl train: arrays of .npz files.

#ifndef SPIKESERVE_CLI_TRAINING_DATA_H_
#define SPIKESERVE_CLI_TRAINING_DATA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "train/data_set.h"

namespace spikeserve::cli {

struct TrainingData {
  train::DataSet training;
  std::optional<train::DataSet> test;

  // One more than the largest label.
  int64_t num_classes() const;
};

class TrainingDataFlags {
 public:
  void AddTo(CLI::App& app);
  bool time_dimension() const { return time_dimension_; }

  // `flatten`: each sample becomes a vector, unless its shape was given. Errors name the file.
  absl::StatusOr<TrainingData> Read(bool flatten, uint64_t seed) const;

 private:
  absl::StatusOr<train::DataSet> ReadFile(const std::string& path, bool flatten) const;

  std::string path_;
  std::string test_;
  std::string input_name_ = "images";
  std::string label_name_ = "labels";
  std::vector<int64_t> input_shape_;
  double input_scale_ = 1;
  bool time_dimension_ = false;
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_TRAINING_DATA_H_

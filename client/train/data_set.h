// Samples and their labels, to train on and to test with.

#ifndef SPIKESERVE_TRAIN_DATA_SET_H_
#define SPIKESERVE_TRAIN_DATA_SET_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::train {

struct DataSet {
  // [N, features ...]: constant currents. With time [N, T, features ...]: spike trains, or currents over time. No
  // length is 0.
  Tensor inputs;
  // Of each sample, >= 0.
  std::vector<int64_t> labels;
  bool has_time = false;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  // The largest label + 1.
  int64_t num_classes() const;
  // Without the samples and the time.
  Shape features() const;
};

struct DataSetOptions {
  // The inputs' second dimension is time.
  bool time_dimension = false;
  // What the inputs are multiplied by; they are FLOAT32 then. 1: they stay as they are.
  double scale = 1;
  // The shape that each sample gets (at each step), of as many elements as it has. Empty: its own.
  Shape features = {};
};

// Inputs of any dtype but BIT, and integer labels. INVALID_ARGUMENT, naming "inputs" or "labels", for an empty or
// too flat array, NaN, other numbers of inputs and labels, and labels that are no integers in [0, 2^20).
absl::StatusOr<DataSet> MakeDataSet(Tensor inputs, const TensorView& labels, const DataSetOptions& options);

struct DataSplit {
  DataSet training;
  DataSet test;
};

// Takes `test_size` samples out for testing, in [1, N - 1]: those that the seed chooses, the same part of each class
// (but for rounding). The samples stay in their order. INVALID_ARGUMENT, naming "test", for another size.
absl::StatusOr<DataSplit> SplitByClass(const DataSet& data, int64_t test_size, uint64_t seed);

// The samples of these indices, in memory of the client's, as the network takes them: [B, features ...], with time
// [T, B, features ...].
Tensor Batch(const Client& client, const DataSet& data, absl::Span<const int64_t> samples);

}  // namespace spikeserve::train

#endif  // SPIKESERVE_TRAIN_DATA_SET_H_

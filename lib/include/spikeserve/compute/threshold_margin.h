// Thresholds that make output neurons learn to fire, or keep silent, with a margin.

#ifndef SPIKESERVE_COMPUTE_THRESHOLD_MARGIN_H_
#define SPIKESERVE_COMPUTE_THRESHOLD_MARGIN_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

struct ThresholdMarginOptions {
  // The threshold in evaluation.
  double eval_threshold = 1.0;
  // The training threshold of the neurons of the wrong classes: lower, so that training must keep them silent below it.
  double threshold0 = 0.9;
  // The training threshold of the neurons of the right class: higher, so that training must drive them above it.
  double threshold1 = 1.1;
};

// INVALID_ARGUMENT where one of the thresholds is NaN.
absl::Status CheckThresholdMargin(const ThresholdMarginOptions& options);

// The training thresholds: threshold1 where label_one_hot is 1, threshold0 elsewhere. `v_threshold` has the size of
// label_one_hot. (In evaluation the threshold is the scalar eval_threshold.)
// Errors: those of CheckThresholdMargin; INVALID_ARGUMENT for another size.
absl::Status TrainingThresholds(absl::Span<const double> label_one_hot, const ThresholdMarginOptions& options,
                                absl::Span<float> v_threshold, Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_THRESHOLD_MARGIN_H_

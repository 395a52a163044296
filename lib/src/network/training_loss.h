// The losses of a training step on what one spiking layer did, and their gradients.

#ifndef SPIKESERVE_SRC_NETWORK_TRAINING_LOSS_H_
#define SPIKESERVE_SRC_NETWORK_TRAINING_LOSS_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/compute/training.h"

namespace spikeserve {

// The samples' classes; all in [0, num_classes).
struct Classes {
  absl::Span<const int64_t> labels;
  int64_t num_classes;
};

// What a loss needs of a layer's record.
RecordRequest Needed(const LossTerm& term);

// Refuses parameters out of their range, and a loss that tells classes apart on a layer whose step, of shape `step`, is
// not [batch, num_classes * n]. `field` is what a request calls the term, such as "losses[0]".
absl::Status CheckLoss(const std::string& field, const LossTerm& term, const Shape& step, int64_t num_classes);
// The latter alone; `field` names the layer.
absl::Status CheckClassLayer(const std::string& field, const Shape& step, int64_t num_classes);

// About how many multiplications it takes on `steps` steps of shape `step`.
double LossWork(const LossTerm& term, int64_t steps, const Shape& step);

// The loss, and its gradient with respect to what the layer did.
struct LossValue {
  double loss = 0;
  // Of the record's shape; one of the two is empty.
  std::vector<float> grad_spikes;
  std::vector<float> grad_v_before_reset;
};

// `v_threshold` is the layer's. The gradient is that of `weight` times the loss. Errors, whose
// field is such as "similarity.loss_type": INVALID_ARGUMENT for kBce with a similarity outside of [0, 1];
// FAILED_PRECONDITION, without a field, for NaN among voltages. Where the executor has stopped, the value and the error
// may be anything.
absl::StatusOr<LossValue> Evaluate(const LossTerm& term, const LayerRecord& record,
                                   const std::variant<float, ThresholdTensor>& v_threshold, const Classes& classes,
                                   Executor& executor);

// For each sample and class the spikes of the class's neurons in all steps, [batch, num_classes].
RowMatrix<float> CountsOfClasses(const LayerRecord& record, int64_t num_classes, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_TRAINING_LOSS_H_

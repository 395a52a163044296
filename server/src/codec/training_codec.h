// Wire training steps and gradients <-> the compute library's.

#ifndef SPIKESERVE_SERVER_CODEC_TRAINING_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_TRAINING_CODEC_H_

#include "absl/status/statusor.h"
#include "spikeserve/compute/training.h"
#include "spikeserve/v1/training.pb.h"

namespace spikeserve::codec {

// All of a request but its tensors. Errors: INVALID_ARGUMENT for what is absent or unknown; the values are checked by
// Network::TrainStep.
absl::StatusOr<TrainStepOptions> DecodeTrainStepOptions(const v1::TrainStepRequest& request);
void EncodeTrainStepOptions(const TrainStepOptions& options, v1::TrainStepRequest* request);

TrainStepResult DecodeTrainStepResult(const v1::TrainStepResponse& response);
void EncodeTrainStepResult(const TrainStepResult& result, v1::TrainStepResponse* response);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_TRAINING_CODEC_H_

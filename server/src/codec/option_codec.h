// Wire options (kernels, rules, loss types, thresholds) <-> the compute library's.

#ifndef SPIKESERVE_SERVER_CODEC_OPTION_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_OPTION_CODEC_H_

#include "absl/status/statusor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/spike_cluster.h"
#include "spikeserve/compute/spike_similar_loss.h"
#include "spikeserve/compute/threshold_margin.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve::codec {

// Each Decode function answers INVALID_ARGUMENT for what is absent or unknown; the values are checked by the compute
// library.

absl::StatusOr<Kernel> DecodeKernel(const v1::Kernel& kernel);
void EncodeKernel(const Kernel& kernel, v1::Kernel* out);

absl::StatusOr<ClusterRule> DecodeClusterRule(v1::ClusterRule rule);
v1::ClusterRule EncodeClusterRule(ClusterRule rule);

absl::StatusOr<LossType> DecodeLossType(v1::LossType loss_type);
v1::LossType EncodeLossType(LossType loss_type);

// Of ThresholdMarginRequest or SetThresholdMarginRequest, whose fields have the same names.
template <typename Request>
ThresholdMarginOptions DecodeThresholdMargin(const Request& request) {
  ThresholdMarginOptions options;
  if (request.has_eval_threshold()) options.eval_threshold = request.eval_threshold();
  if (request.has_threshold0()) options.threshold0 = request.threshold0();
  if (request.has_threshold1()) options.threshold1 = request.threshold1();
  return options;
}
template <typename Request>
void EncodeThresholdMargin(const ThresholdMarginOptions& options, Request* request) {
  request->set_eval_threshold(options.eval_threshold);
  request->set_threshold0(options.threshold0);
  request->set_threshold1(options.threshold1);
}

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_OPTION_CODEC_H_

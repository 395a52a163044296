#include "spikeserve/compute/threshold_margin.h"

#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"

namespace spikeserve::server {

absl::StatusOr<v1::ThresholdMarginResponse> ThresholdMargin(const v1::ThresholdMarginRequest& request,
                                                            Context& context) {
  const ThresholdMarginOptions options = codec::DecodeThresholdMargin(request);
  SPIKESERVE_RETURN_IF_ERROR(CheckThresholdMargin(options));
  SPIKESERVE_ASSIGN_OR_RETURN(auto labels,
                              codec::Decode<double>(request.label_one_hot(), "label_one_hot", codec::Accept::kNumber,
                                                    context.limits.max_decoded_bytes));
  v1::ThresholdMarginResponse response;
  if (!request.training()) {
    codec::EncodeTensor(static_cast<float>(options.eval_threshold), response.mutable_v_threshold());
    return response;
  }
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(DataType::kFloat32, labels.shape(), "v_threshold", context,
                                                          response.mutable_v_threshold()));
  SPIKESERVE_RETURN_IF_ERROR(TrainingThresholds(
      labels.values(), options, absl::MakeSpan(reinterpret_cast<float*>(bytes), labels.values().size())));
  return response;
}

}  // namespace spikeserve::server

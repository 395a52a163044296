// SetTraining, SetThresholdMargin and ResetNet.

#include <utility>

#include "codec/network_codec.h"
#include "codec/option_codec.h"
#include "codec/tensor_codec.h"
#include "handlers/handlers.h"
#include "handlers/reserve.h"
#include "runtime/limits.h"
#include "status_macros.h"

namespace spikeserve::server {

absl::StatusOr<Outgoing<v1::SetTrainingResponse>> SetTraining(Incoming<v1::SetTrainingRequest> request,
                                                              HeldNetwork& held, Context& context) {
  held.network.SetTraining(request->training());
  return Outgoing<v1::SetTrainingResponse>(context.buffers);
}

absl::StatusOr<Outgoing<v1::SetThresholdMarginResponse>> SetThresholdMargin(
    Incoming<v1::SetThresholdMarginRequest> request, HeldNetwork& held, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(
      auto labels, codec::Decode<double>(request.tensor(v1::SetThresholdMarginRequest::kLabelOneHotFieldNumber),
                                         "label_one_hot", codec::Accept::kNumber, context.room));
  const auto bytes = static_cast<int64_t>(labels.values().size() * sizeof(float));
  if (bytes > context.limits.max_message_bytes) {
    return OverLimit("label_one_hot", bytes, "bytes of thresholds", context.limits.max_message_bytes,
                     "--max-message-bytes");
  }
  SPIKESERVE_RETURN_IF_ERROR(Reserve(held, {bytes}, context));
  SPIKESERVE_ASSIGN_OR_RETURN(const auto threshold,
                              held.network.SetThresholdMargin(request->layer(), labels.values(), labels.shape(),
                                                              codec::DecodeThresholdMargin(*request)));
  Outgoing<v1::SetThresholdMarginResponse> response(context.buffers);
  codec::EncodeThreshold(threshold, response.tensor(v1::SetThresholdMarginResponse::kVThresholdFieldNumber));
  return response;
}

absl::StatusOr<Outgoing<v1::ResetNetResponse>> ResetNet(Incoming<v1::ResetNetRequest>, HeldNetwork& held,
                                                        Context& context) {
  held.network.Reset();
  return Outgoing<v1::ResetNetResponse>(context.buffers);
}

}  // namespace spikeserve::server

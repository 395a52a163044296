#include "spikeserve/compute/threshold_margin.h"

#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"

namespace spikeserve::server {
namespace {

using Request = v1::ThresholdMarginRequest;
using Response = v1::ThresholdMarginResponse;

}  // namespace

int64_t ThresholdMarginWork(Incoming<Request> request) {
  return Elements(request.tensor(Request::kLabelOneHotFieldNumber));
}

absl::StatusOr<Outgoing<Response>> ThresholdMargin(Incoming<Request> request, Context& context) {
  const ThresholdMarginOptions options = codec::DecodeThresholdMargin(*request);
  SPIKESERVE_RETURN_IF_ERROR(CheckThresholdMargin(options));
  SPIKESERVE_ASSIGN_OR_RETURN(auto labels,
                              codec::Decode<double>(request.tensor(Request::kLabelOneHotFieldNumber), "label_one_hot",
                                                    codec::Accept::kNumber, context.room));
  Outgoing<Response> response(context.buffers);
  if (!request->training()) {
    codec::EncodeTensor(static_cast<float>(options.eval_threshold), response.tensor(Response::kVThresholdFieldNumber));
    return response;
  }
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(DataType::kFloat32, labels.shape(), "v_threshold", context,
                                                          response.tensor(Response::kVThresholdFieldNumber)));
  SPIKESERVE_RETURN_IF_ERROR(TrainingThresholds(labels.values(), options,
                                                absl::MakeSpan(reinterpret_cast<float*>(bytes), labels.values().size()),
                                                context.executor));
  return response;
}

}  // namespace spikeserve::server

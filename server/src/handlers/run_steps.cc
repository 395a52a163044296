#include "handlers/run_steps.h"

#include <cstdint>
#include <utility>

#include "codec/network_codec.h"
#include "handlers/reserve.h"
#include "runtime/limits.h"
#include "status_macros.h"

namespace spikeserve::server {

template <typename Request>
absl::StatusOr<StepOptions> DecodeStepOptions(const Request& request) {
  StepOptions options;
  SPIKESERVE_ASSIGN_OR_RETURN(options.mask_dtype, codec::DecodeMaskType(request.mask_dtype(), DataType::kBool,
                                                                        {DataType::kBool, DataType::kBit}));
  options.single_step = request.single_step();
  for (const v1::RecordRequest& record : request.records()) {
    options.records.push_back({record.layer(), record.spikes(), record.v_before_reset(), record.v_after_reset()});
  }
  return options;
}

template absl::StatusOr<StepOptions> DecodeStepOptions(const v1::ForwardRequest&);
template absl::StatusOr<StepOptions> DecodeStepOptions(const v1::RunRequest::Open&);

template <typename Response>
absl::StatusOr<codec::Outgoing<Response>> RunSteps(const codec::WireTensor& wire_input, const StepOptions& options,
                                                   HeldNetwork& held, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(auto input,
                              codec::Decode<float>(wire_input, "input", codec::Accept::kNumber, context.room));
  Shape shape = input.shape();
  if (options.single_step) shape.insert(shape.begin(), 1);
  SPIKESERVE_ASSIGN_OR_RETURN(const int64_t more, held.network.ForwardByteSize(shape, options.records));
  // Before anything changes: a result that cannot be sent would leave the caller without it and the network changed.
  if (more > context.limits.max_message_bytes) {
    return OverLimit("input", more, "bytes of state and results", context.limits.max_message_bytes,
                     "--max-message-bytes");
  }
  int64_t trace = 0;
  if (options.keep_trace) {
    SPIKESERVE_ASSIGN_OR_RETURN(const int64_t in_all, held.network.TraceByteSize(shape));
    if (in_all > context.limits.max_trace_bytes) {
      return OverLimit("keep_trace", in_all, "bytes of trace", context.limits.max_trace_bytes, "--max-trace-bytes");
    }
    trace = in_all - held.network.trace_bytes();
  }
  SPIKESERVE_RETURN_IF_ERROR(Reserve(held, {more, trace}, context));
  SPIKESERVE_ASSIGN_OR_RETURN(
      const ForwardResult result,
      held.network.Forward(input.values(), shape, {.records = options.records, .keep_trace = options.keep_trace},
                           context.executor, context.wanted));

  codec::Outgoing<Response> response(context.buffers);
  const Shape output_shape = options.single_step ? Shape(result.shape.begin() + 1, result.shape.end()) : result.shape;
  if (result.output_is_spikes) {
    codec::EncodeMask(absl::MakeConstSpan(result.output), output_shape, options.mask_dtype,
                      response.tensor(Response::kOutputFieldNumber));
  } else {
    codec::EncodeTensor(TensorView(absl::MakeConstSpan(result.output), output_shape),
                        response.tensor(Response::kOutputFieldNumber));
  }
  for (size_t i = 0; i < options.records.size(); ++i) {
    codec::EncodeRecord(result.records[i], options.records[i], options.mask_dtype, options.single_step,
                        response->add_records());
  }
  return response;
}

template absl::StatusOr<codec::Outgoing<v1::ForwardResponse>> RunSteps(const codec::WireTensor&, const StepOptions&,
                                                                       HeldNetwork&, Context&);
template absl::StatusOr<codec::Outgoing<v1::RunResponse>> RunSteps(const codec::WireTensor&, const StepOptions&,
                                                                   HeldNetwork&, Context&);

}  // namespace spikeserve::server

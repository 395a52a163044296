#include "handlers/handlers.h"
#include "handlers/run_steps.h"
#include "status_macros.h"

namespace spikeserve::server {

absl::StatusOr<Outgoing<v1::ForwardResponse>> Forward(Incoming<v1::ForwardRequest> request, HeldNetwork& held,
                                                      Context& context) {
<<<<<<< HEAD
  SPIKESERVE_ASSIGN_OR_RETURN(const StepOptions options, DecodeStepOptions(*request));
  return RunSteps<v1::ForwardResponse>(request.tensor(v1::ForwardRequest::kInputFieldNumber), options, held, context);
=======
  SPIKESERVE_ASSIGN_OR_RETURN(const DataType mask_dtype, codec::DecodeMaskType(request->mask_dtype(), DataType::kBool,
                                                                               {DataType::kBool, DataType::kBit}));
  SPIKESERVE_ASSIGN_OR_RETURN(auto input,
                              codec::Decode<float>(request.tensor(v1::ForwardRequest::kInputFieldNumber), "input",
                                                   codec::Accept::kNumber, context.limits.max_decoded_bytes));
  Shape shape = input.shape();
  if (request->single_step()) shape.insert(shape.begin(), 1);
  std::vector<RecordRequest> records;
  for (const v1::RecordRequest& record : request->records()) {
    records.push_back({record.layer(), record.spikes(), record.v_before_reset(), record.v_after_reset()});
  }

  SPIKESERVE_ASSIGN_OR_RETURN(const int64_t more, held.network.ForwardByteSize(shape, records));
  // Before anything changes: a result that cannot be sent would leave the caller without it and the network changed.
  if (more > context.limits.max_message_bytes) {
    return OverLimit("input", more, "bytes of state and results", context.limits.max_message_bytes,
                     "--max-message-bytes");
  }
  int64_t trace = 0;
  if (request->keep_trace()) {
    SPIKESERVE_ASSIGN_OR_RETURN(trace, held.network.TraceByteSize(shape));
    const int64_t in_all = held.network.trace_bytes() + trace;
    if (in_all > context.limits.max_trace_bytes) {
      return OverLimit("keep_trace", in_all, "bytes of trace", context.limits.max_trace_bytes, "--max-trace-bytes");
    }
  }
  SPIKESERVE_RETURN_IF_ERROR(context.networks.SetBytes(held, held.ByteSize() + more + trace));
  SPIKESERVE_ASSIGN_OR_RETURN(
      const ForwardResult result,
      held.network.Forward(input.values(), shape, {.records = records, .keep_trace = request->keep_trace()},
                           context.executor));

  Outgoing<v1::ForwardResponse> response(context.buffers);
  const Shape output_shape =
      request->single_step() ? Shape(result.shape.begin() + 1, result.shape.end()) : result.shape;
  if (result.output_is_spikes) {
    codec::EncodeMask(absl::MakeConstSpan(result.output), output_shape, mask_dtype,
                      response.tensor(v1::ForwardResponse::kOutputFieldNumber));
  } else {
    codec::EncodeTensor(TensorView(absl::MakeConstSpan(result.output), output_shape),
                        response.tensor(v1::ForwardResponse::kOutputFieldNumber));
  }
  for (size_t i = 0; i < records.size(); ++i) {
    codec::EncodeRecord(result.records[i], records[i], mask_dtype, request->single_step(), response->add_records());
  }
  return response;
>>>>>>> lead
}

}  // namespace spikeserve::server

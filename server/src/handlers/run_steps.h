// Running steps of a network that the server holds, as Forward and Run do.

#ifndef SPIKESERVE_SERVER_HANDLERS_RUN_STEPS_H_
#define SPIKESERVE_SERVER_HANDLERS_RUN_STEPS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "codec/tensor_codec.h"
#include "codec/typed_envelope.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "runtime/context.h"
#include "runtime/network_store.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {

// How the steps come, and what is wanted of them.
struct StepOptions {
  bool single_step = false;
  std::vector<RecordRequest> records;
  DataType mask_dtype = DataType::kBool;
  bool keep_trace = false;
};

// The options that ForwardRequest and RunRequest.Open have alike. Errors: INVALID_ARGUMENT for mask_dtype.
template <typename Request>
absl::StatusOr<StepOptions> DecodeStepOptions(const Request& request);

// Runs the steps in `input`, the request's field "input", and fills `output` and `records` of the response in: a
// v1::ForwardResponse or v1::RunResponse. Errors are those of Forward; they leave the network as it was.
template <typename Response>
absl::StatusOr<codec::Outgoing<Response>> RunSteps(const codec::WireTensor& input, const StepOptions& options,
                                                   HeldNetwork& held, Context& context);

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_RUN_STEPS_H_

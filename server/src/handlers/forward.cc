#include "handlers/handlers.h"
#include "handlers/run_steps.h"
#include "status_macros.h"

namespace spikeserve::server {

absl::StatusOr<Outgoing<v1::ForwardResponse>> Forward(Incoming<v1::ForwardRequest> request, HeldNetwork& held,
                                                      Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(StepOptions options, DecodeStepOptions(*request));
  options.keep_trace = request->keep_trace();
  return RunSteps<v1::ForwardResponse>(request.tensor(v1::ForwardRequest::kInputFieldNumber), options, held, context);
}

}  // namespace spikeserve::server

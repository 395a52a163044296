#include "spikeserve/compute/spike_cluster.h"

#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"
#include "spikeserve/compute/step_mask.h"

namespace spikeserve::server {
namespace {

using Request = v1::SpikeClusterRequest;
using Response = v1::SpikeClusterResponse;

// Writes one step for each neuron, as steps or as a mask.
absl::Status EncodeSteps(absl::Span<const int32_t> index, int64_t steps, DataType mask_dtype, bool index_output,
                         std::string_view field, const Context& context, const codec::TensorTarget& out) {
  if (index_output) {
    return EncodeResult(TensorView(index), field, context, out);
  }
  const Shape shape = {steps, static_cast<int64_t>(index.size())};
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(mask_dtype, shape, field, context, out));
  const auto room = absl::MakeSpan(bytes, ByteCount(mask_dtype, shape).value_or(0));
  if (mask_dtype == DataType::kBit) {
    WriteStepBitMask(index, steps, room, context.executor);
  } else {
    WriteStepMask(index, steps, room, context.executor);
  }
  return absl::OkStatus();
}

}  // namespace

int64_t SpikeClusterWork(Incoming<Request> request) { return Elements(request.tensor(Request::kVFieldNumber)); }

absl::StatusOr<Outgoing<Response>> SpikeCluster(Incoming<Request> request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const DataType mask_dtype, codec::DecodeMaskType(request->mask_dtype(), DataType::kBool,
                                                                               {DataType::kBool, DataType::kBit}));
  SpikeClusterOptions options;
  options.t_in = request->t_in();
  SPIKESERVE_ASSIGN_OR_RETURN(options.rule, codec::DecodeClusterRule(request->rule()));
  if (request->has_v_min()) options.v_min = request->v_min();

  int64_t steps = 0;
  const auto compute = [&]<typename Scalar>() -> absl::StatusOr<SpikeClusters> {
    SPIKESERVE_ASSIGN_OR_RETURN(auto v, DecodeMatrix<Scalar>(request.tensor(Request::kVFieldNumber), "v",
                                                             codec::Accept::kFloat, "[T, N]", context));
    SPIKESERVE_ASSIGN_OR_RETURN(auto v_threshold,
                                DecodePerNeuron<Scalar>(request.tensor(Request::kVThresholdFieldNumber), "v_threshold",
                                                        codec::Accept::kNumber, context));
    steps = v.shape()[0];
    SPIKESERVE_RETURN_IF_ERROR(context.room.Take(v.shape()[1], kClusterBytes));
    return spikeserve::SpikeCluster<Scalar>(AsMatrix(v), v_threshold.values(), options, context.executor);
  };
  SPIKESERVE_ASSIGN_OR_RETURN(const SpikeClusters clusters,
                              WithScalar(compute, request.tensor(Request::kVFieldNumber)));

  Outgoing<Response> response(context.buffers);
  SPIKESERVE_RETURN_IF_ERROR(EncodeResult(TensorView(absl::MakeConstSpan(clusters.n_o)), "n_o", context,
                                          response.tensor(Response::kNOFieldNumber)));
  SPIKESERVE_RETURN_IF_ERROR(EncodeSteps(clusters.k_positive, steps, mask_dtype, request->index_output(), "k_positive",
                                         context, response.tensor(Response::kKPositiveFieldNumber)));
  SPIKESERVE_RETURN_IF_ERROR(EncodeSteps(clusters.k_negative, steps, mask_dtype, request->index_output(), "k_negative",
                                         context, response.tensor(Response::kKNegativeFieldNumber)));
  return response;
}

}  // namespace spikeserve::server

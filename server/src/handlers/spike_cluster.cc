#include "spikeserve/compute/spike_cluster.h"

#include "codec/option_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"
#include "spikeserve/compute/step_mask.h"

namespace spikeserve::server {
namespace {

// Writes one step for each neuron, as steps or as a mask.
absl::Status EncodeSteps(absl::Span<const int32_t> index, int64_t steps, DataType mask_dtype, bool index_output,
                         std::string_view field, const Context& context, v1::Tensor* out) {
  if (index_output) {
    codec::EncodeTensor(TensorView(index), out);
    return absl::OkStatus();
  }
  const Shape shape = {steps, static_cast<int64_t>(index.size())};
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(mask_dtype, shape, field, context, out));
  const auto room = absl::MakeSpan(bytes, ByteCount(mask_dtype, shape).value_or(0));
  if (mask_dtype == DataType::kBit) {
    WriteStepBitMask(index, steps, room);
  } else {
    WriteStepMask(index, steps, room);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::SpikeClusterResponse> SpikeCluster(const v1::SpikeClusterRequest& request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const DataType mask_dtype, codec::DecodeMaskType(request.mask_dtype(), DataType::kBool,
                                                                               {DataType::kBool, DataType::kBit}));
  SpikeClusterOptions options;
  options.t_in = request.t_in();
  SPIKESERVE_ASSIGN_OR_RETURN(options.rule, codec::DecodeClusterRule(request.rule()));
  if (request.has_v_min()) options.v_min = request.v_min();

  int64_t steps = 0;
  const auto compute = [&]<typename Scalar>() -> absl::StatusOr<SpikeClusters> {
    SPIKESERVE_ASSIGN_OR_RETURN(auto v,
                                DecodeMatrix<Scalar>(request.v(), "v", codec::Accept::kFloat, "[T, N]", context));
    SPIKESERVE_ASSIGN_OR_RETURN(auto v_threshold, DecodePerNeuron<Scalar>(request.v_threshold(), "v_threshold",
                                                                          codec::Accept::kNumber, context));
    steps = v.shape()[0];
    return spikeserve::SpikeCluster<Scalar>(AsMatrix(v), v_threshold.values(), options, context.executor);
  };
  SPIKESERVE_ASSIGN_OR_RETURN(const SpikeClusters clusters, WithScalar(compute, request.v()));

  v1::SpikeClusterResponse response;
  codec::EncodeTensor(clusters.n_o, response.mutable_n_o());
  SPIKESERVE_RETURN_IF_ERROR(EncodeSteps(clusters.k_positive, steps, mask_dtype, request.index_output(), "k_positive",
                                         context, response.mutable_k_positive()));
  SPIKESERVE_RETURN_IF_ERROR(EncodeSteps(clusters.k_negative, steps, mask_dtype, request.index_output(), "k_negative",
                                         context, response.mutable_k_negative()));
  return response;
}

}  // namespace spikeserve::server

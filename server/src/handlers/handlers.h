// The handlers: one plain function for each RPC, which knows no transport and is tested without a server.
//
// A handler decodes the request, computes, and encodes the response. Its errors are those the request's .proto tells.

#ifndef SPIKESERVE_SERVER_HANDLERS_HANDLERS_H_
#define SPIKESERVE_SERVER_HANDLERS_HANDLERS_H_

#include "absl/status/statusor.h"
#include "codec/typed_envelope.h"
#include "runtime/context.h"
#include "runtime/network_store.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/server.pb.h"
#include "spikeserve/v1/training.pb.h"

namespace spikeserve::server {

using codec::Incoming;
using codec::Outgoing;

// Functions.
absl::StatusOr<Outgoing<v1::SpikeClusterResponse>> SpikeCluster(Incoming<v1::SpikeClusterRequest>, Context&);
absl::StatusOr<Outgoing<v1::KernelDotProductResponse>> KernelDotProduct(Incoming<v1::KernelDotProductRequest>,
                                                                        Context&);
absl::StatusOr<Outgoing<v1::KernelDotProductVjpResponse>> KernelDotProductVjp(Incoming<v1::KernelDotProductVjpRequest>,
                                                                              Context&);
absl::StatusOr<Outgoing<v1::SpikeSimilarLossResponse>> SpikeSimilarLoss(Incoming<v1::SpikeSimilarLossRequest>,
                                                                        Context&);
absl::StatusOr<Outgoing<v1::RedundantOneHotResponse>> RedundantOneHot(Incoming<v1::RedundantOneHotRequest>, Context&);
absl::StatusOr<Outgoing<v1::FirstSpikeIndexResponse>> FirstSpikeIndex(Incoming<v1::FirstSpikeIndexRequest>, Context&);
absl::StatusOr<Outgoing<v1::ThresholdMarginResponse>> ThresholdMargin(Incoming<v1::ThresholdMarginRequest>, Context&);
absl::StatusOr<Outgoing<v1::StcaLossResponse>> StcaLoss(Incoming<v1::StcaLossRequest>, Context&);

// The server itself.
absl::StatusOr<Outgoing<v1::ServerStatisticsResponse>> ServerStatistics(Incoming<v1::ServerStatisticsRequest>,
                                                                        Context&);

// About how many operations on elements each function takes for a request: what is small is computed at once, in the
// thread that received it. The request may be wrong in any way.
int64_t SpikeClusterWork(Incoming<v1::SpikeClusterRequest>);
int64_t KernelDotProductWork(Incoming<v1::KernelDotProductRequest>);
int64_t KernelDotProductVjpWork(Incoming<v1::KernelDotProductVjpRequest>);
int64_t SpikeSimilarLossWork(Incoming<v1::SpikeSimilarLossRequest>);
int64_t RedundantOneHotWork(Incoming<v1::RedundantOneHotRequest>);
int64_t FirstSpikeIndexWork(Incoming<v1::FirstSpikeIndexRequest>);
int64_t ThresholdMarginWork(Incoming<v1::ThresholdMarginRequest>);
int64_t StcaLossWork(Incoming<v1::StcaLossRequest>);
int64_t ServerStatisticsWork(Incoming<v1::ServerStatisticsRequest>);

// Networks: their making and listing.
absl::StatusOr<Outgoing<v1::CreateNetworkResponse>> CreateNetwork(Incoming<v1::CreateNetworkRequest>, Context&);
absl::StatusOr<Outgoing<v1::ListNetworksResponse>> ListNetworks(Incoming<v1::ListNetworksRequest>, Context&);

// Networks: calls on one. They run one at a time for each network. Those whose response has a `next_step` field leave
// it and the request's `step` to the method table (see change.h).
absl::StatusOr<Outgoing<v1::GetNetworkResponse>> GetNetwork(Incoming<v1::GetNetworkRequest>, HeldNetwork&, Context&);
absl::StatusOr<Outgoing<v1::DeleteNetworkResponse>> DeleteNetwork(Incoming<v1::DeleteNetworkRequest>, HeldNetwork&,
                                                                  Context&);
absl::StatusOr<Outgoing<v1::SetTrainingResponse>> SetTraining(Incoming<v1::SetTrainingRequest>, HeldNetwork&, Context&);
absl::StatusOr<Outgoing<v1::ForwardResponse>> Forward(Incoming<v1::ForwardRequest>, HeldNetwork&, Context&);
absl::StatusOr<Outgoing<v1::SetThresholdMarginResponse>> SetThresholdMargin(Incoming<v1::SetThresholdMarginRequest>,
                                                                            HeldNetwork&, Context&);
absl::StatusOr<Outgoing<v1::ResetNetResponse>> ResetNet(Incoming<v1::ResetNetRequest>, HeldNetwork&, Context&);

// Training: calls on one network, as those above.
absl::StatusOr<Outgoing<v1::BackwardResponse>> Backward(Incoming<v1::BackwardRequest>, HeldNetwork&, Context&);
absl::StatusOr<Outgoing<v1::ZeroGradientsResponse>> ZeroGradients(Incoming<v1::ZeroGradientsRequest>, HeldNetwork&,
                                                                  Context&);
absl::StatusOr<Outgoing<v1::ApplyGradientsResponse>> ApplyGradients(Incoming<v1::ApplyGradientsRequest>, HeldNetwork&,
                                                                    Context&);
absl::StatusOr<Outgoing<v1::TrainStepResponse>> TrainStep(Incoming<v1::TrainStepRequest>, HeldNetwork&, Context&);

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_HANDLERS_H_

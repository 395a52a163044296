// The handlers: one plain function for each RPC, which knows no transport and is tested without a server.
//
// A handler decodes the request, computes, and encodes the response. Its errors are those the request's .proto tells.

#ifndef SPIKESERVE_SERVER_HANDLERS_HANDLERS_H_
#define SPIKESERVE_SERVER_HANDLERS_HANDLERS_H_

#include "absl/status/statusor.h"
#include "runtime/context.h"
#include "runtime/network_store.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {

// Functions.
absl::StatusOr<v1::SpikeClusterResponse> SpikeCluster(const v1::SpikeClusterRequest&, Context&);
absl::StatusOr<v1::KernelDotProductResponse> KernelDotProduct(const v1::KernelDotProductRequest&, Context&);
absl::StatusOr<v1::SpikeSimilarLossResponse> SpikeSimilarLoss(const v1::SpikeSimilarLossRequest&, Context&);
absl::StatusOr<v1::RedundantOneHotResponse> RedundantOneHot(const v1::RedundantOneHotRequest&, Context&);
absl::StatusOr<v1::FirstSpikeIndexResponse> FirstSpikeIndex(const v1::FirstSpikeIndexRequest&, Context&);
absl::StatusOr<v1::ThresholdMarginResponse> ThresholdMargin(const v1::ThresholdMarginRequest&, Context&);
absl::StatusOr<v1::StcaLossResponse> StcaLoss(const v1::StcaLossRequest&, Context&);

// Networks: their making and listing.
absl::StatusOr<v1::CreateNetworkResponse> CreateNetwork(const v1::CreateNetworkRequest&, Context&);
absl::StatusOr<v1::ListNetworksResponse> ListNetworks(const v1::ListNetworksRequest&, Context&);

// Networks: calls on one. They run one at a time for each network. Those whose response has a `next_step` field leave
// it to the method table, which also refuses a wrong `step` and repeats the last reply.
absl::StatusOr<v1::GetNetworkResponse> GetNetwork(const v1::GetNetworkRequest&, HeldNetwork&, Context&);
absl::StatusOr<v1::DeleteNetworkResponse> DeleteNetwork(const v1::DeleteNetworkRequest&, HeldNetwork&, Context&);
absl::StatusOr<v1::SetTrainingResponse> SetTraining(const v1::SetTrainingRequest&, HeldNetwork&, Context&);
absl::StatusOr<v1::ForwardResponse> Forward(const v1::ForwardRequest&, HeldNetwork&, Context&);
absl::StatusOr<v1::SetThresholdMarginResponse> SetThresholdMargin(const v1::SetThresholdMarginRequest&, HeldNetwork&,
                                                                  Context&);
absl::StatusOr<v1::ResetNetResponse> ResetNet(const v1::ResetNetRequest&, HeldNetwork&, Context&);

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_HANDLERS_H_

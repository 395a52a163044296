#include "spikeserve/client/client.h"

#include <utility>

#include "connection.h"
#include "runtime/engine.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve {

absl::StatusOr<Client> Client::Connect(std::string_view target, const ConnectOptions& options) {
  if (target.empty()) return InvalidField("target", "empty", "HOST:PORT or unix:PATH");
  return Client(MakeRetryConnection(MakeGrpcConnection(target, options), options.retry, GrpcTimer()));
}

absl::StatusOr<Client> Client::InProcess(const InProcessOptions& options) {
  server::EngineOptions engine_options;
  engine_options.threads = options.threads;
  return Client(MakeInProcessConnection(std::make_unique<server::Engine>(std::move(engine_options))));
}

Client::ResultOr<SpikeClusterArgs> Client::SpikeCluster(const SpikeClusterArgs& a, const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<KernelDotProductArgs> Client::KernelDotProduct(const KernelDotProductArgs& a,
                                                                const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<SpikeSimilarLossArgs> Client::SpikeSimilarLoss(const SpikeSimilarLossArgs& a,
                                                                const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<RedundantOneHotArgs> Client::RedundantOneHot(const RedundantOneHotArgs& a,
                                                              const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<FirstSpikeIndexArgs> Client::FirstSpikeIndex(const FirstSpikeIndexArgs& a,
                                                              const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<ThresholdMarginArgs> Client::ThresholdMargin(const ThresholdMarginArgs& a,
                                                              const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<StcaLossArgs> Client::StcaLoss(const StcaLossArgs& a, const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<ServerStatisticsArgs> Client::ServerStatistics(const CallOptions& o) const {
  return Call(ServerStatisticsArgs{}, o);
}

Client::ResultOr<ListNetworksArgs> Client::ListNetworks(const CallOptions& o) const {
  return Call(ListNetworksArgs{}, o);
}

absl::StatusOr<NetworkHandle> Client::CreateNetwork(std::vector<LayerSpec> layers, const CallOptions& o) const {
  SPIKESERVE_ASSIGN_OR_RETURN(CreateNetworkArgs::Result result, Call(CreateNetworkArgs{std::move(layers)}, o));
  return NetworkHandle(*this, std::move(result.network), /*owned=*/true);
}

NetworkHandle Client::AttachNetwork(std::string network) const {
  return NetworkHandle(*this, std::move(network), /*owned=*/false);
}

NetworkHandle::NetworkHandle(NetworkHandle&& other) noexcept
    : client_(other.client_), name_(std::move(other.name_)), owned_(std::exchange(other.owned_, false)) {}

NetworkHandle& NetworkHandle::operator=(NetworkHandle&& other) noexcept {
  // The network that was here goes with `old`.
  NetworkHandle old(std::move(*this));
  client_ = other.client_;
  name_ = std::move(other.name_);
  owned_ = std::exchange(other.owned_, false);
  return *this;
}

NetworkHandle::~NetworkHandle() {
  if (owned_) Delete({.timeout = absl::Seconds(2)}).IgnoreError();
}

Client::ResultOr<ForwardArgs> NetworkHandle::Forward(ForwardArgs args, const CallOptions& o) const {
  args.network = name_;
  return client_.Call(args, o);
}

Client::ResultOr<GetNetworkArgs> NetworkHandle::Get(bool include_monitors, const CallOptions& o) const {
  return client_.Call(GetNetworkArgs{name_, include_monitors}, o);
}

Client::ResultOr<SetTrainingArgs> NetworkHandle::SetTraining(bool training, const CallOptions& o) const {
  return client_.Call(SetTrainingArgs{name_, training}, o);
}

Client::ResultOr<SetThresholdMarginArgs> NetworkHandle::SetThresholdMargin(SetThresholdMarginArgs args,
                                                                           const CallOptions& o) const {
  args.network = name_;
  return client_.Call(args, o);
}

Client::ResultOr<ResetNetArgs> NetworkHandle::Reset(const CallOptions& o) const {
  return client_.Call(ResetNetArgs{name_}, o);
}

absl::Status NetworkHandle::Delete(const CallOptions& o) {
  owned_ = false;
  return client_.Call(DeleteNetworkArgs{name_}, o).status();
}

}  // namespace spikeserve

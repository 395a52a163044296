#include "spikeserve/client/client.h"

#include <cstdint>
#include <future>
#include <optional>
#include <utility>

#include "absl/base/macros.h"
#include "connection.h"
#include "dispose.h"
#include "runtime/engine.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "status_macros.h"

namespace spikeserve {

absl::StatusOr<Client> Client::Connect(std::string_view target, const ConnectOptions& options) {
  if (target.empty()) return InvalidField("target", "empty", "HOST:PORT or unix:PATH");
  SPIKESERVE_ASSIGN_OR_RETURN(std::shared_ptr<Connection> connection, MakeGrpcConnection(target, options));
  if (options.shared_memory) {
    SPIKESERVE_ASSIGN_OR_RETURN(connection, MakeSharedMemoryConnection(std::move(connection), target, options));
  }
  return Client(MakeRetryConnection(std::move(connection), options.retry, GrpcTimer()));
}

absl::StatusOr<Client> Client::InProcess(const InProcessOptions& options) {
  server::EngineOptions engine_options;
  engine_options.threads = options.threads;
  // What is refused ends in the thread that starts it. An application knows how many calls it makes.
  engine_options.limits.max_calls = INT64_MAX;
  return Client(MakeInProcessConnection(std::make_unique<server::Engine>(std::move(engine_options))));
}

Tensor Client::NewTensor(DataType dtype, Shape shape) const {
  const std::optional<int64_t> size = ByteCount(dtype, shape);
  ABSL_HARDENING_ASSERT(size.has_value());
  std::shared_ptr<uint8_t> buffer = connection_->NewTensorBuffer(static_cast<size_t>(*size));
  auto* bytes = reinterpret_cast<std::byte*>(buffer.get());
  return Tensor(dtype, std::move(shape), std::shared_ptr<std::byte>(std::move(buffer), bytes));
}

bool Client::shared_memory_in_use() const { return connection_->shared_memory_in_use(); }

Client::ResultOr<SpikeClusterArgs> Client::SpikeCluster(const SpikeClusterArgs& a, const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<KernelDotProductArgs> Client::KernelDotProduct(const KernelDotProductArgs& a,
                                                                const CallOptions& o) const {
  return Call(a, o);
}

Client::ResultOr<KernelDotProductVjpArgs> Client::KernelDotProductVjp(const KernelDotProductVjpArgs& a,
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
  return RestoreNetwork(CreateNetworkArgs{.layers = std::move(layers)}, o);
}

absl::StatusOr<NetworkHandle> Client::RestoreNetwork(const CreateNetworkArgs& args, const CallOptions& o) const {
  SPIKESERVE_ASSIGN_OR_RETURN(CreateNetworkArgs::Result result, Call(args, o));
  return NetworkHandle(*this, std::move(result.network), /*owned=*/true);
}

NetworkHandle Client::AttachNetwork(std::string network) const {
  return NetworkHandle(*this, std::move(network), /*owned=*/false);
}

NetworkHandle::NetworkHandle(NetworkHandle&& other) noexcept
    : client_(other.client_), name_(std::move(other.name_)), owned_(other.owned_.exchange(false)) {}

NetworkHandle& NetworkHandle::operator=(NetworkHandle&& other) noexcept {
  // The network that was here goes with `old`.
  NetworkHandle old(std::move(*this));
  client_ = other.client_;
  name_ = std::move(other.name_);
  owned_ = other.owned_.exchange(false);
  return *this;
}

NetworkHandle::~NetworkHandle() {
  if (!owned_) return;
  constexpr absl::Duration kLongest = absl::Seconds(2);
  const DeleteNetworkArgs args{name_};
  const CallOptions options{.timeout = kLongest};
  // To delete it may take the very thread that would wait.
  if (Disposals::InCallback()) {
    client_.Start<DeleteNetworkArgs>(args, options, [](const auto&) {});
    return;
  }
  // In process the call may end later than its timeout.
  client_.Async(args, options).wait_for(absl::ToChronoMilliseconds(kLongest));
}

Client::ResultOr<ForwardArgs> NetworkHandle::Forward(ForwardArgs args, const CallOptions& o) const {
  args.network = name_;
  return client_.Call(args, o);
}

Client::ResultOr<GetNetworkArgs> NetworkHandle::Get(bool include_monitors, const CallOptions& o) const {
  return Get(GetNetworkArgs{.include_monitors = include_monitors}, o);
}

Client::ResultOr<GetNetworkArgs> NetworkHandle::Get(GetNetworkArgs args, const CallOptions& o) const {
  args.network = name_;
  return client_.Call(args, o);
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

Client::ResultOr<BackwardArgs> NetworkHandle::Backward(BackwardArgs args, const CallOptions& o) const {
  args.network = name_;
  return client_.Call(args, o);
}

Client::ResultOr<ZeroGradientsArgs> NetworkHandle::ZeroGradients(const CallOptions& o) const {
  return client_.Call(ZeroGradientsArgs{name_}, o);
}

Client::ResultOr<ApplyGradientsArgs> NetworkHandle::ApplyGradients(const Optimizer& optimizer,
                                                                   const CallOptions& o) const {
  return ApplyGradients(ApplyGradientsArgs{.optimizer = optimizer}, o);
}

Client::ResultOr<ApplyGradientsArgs> NetworkHandle::ApplyGradients(ApplyGradientsArgs args,
                                                                   const CallOptions& o) const {
  args.network = name_;
  return client_.Call(args, o);
}

Client::ResultOr<TrainStepArgs> NetworkHandle::TrainStep(TrainStepArgs args, const CallOptions& o) const {
  args.network = name_;
  return client_.Call(args, o);
}

absl::Status NetworkHandle::Delete(const CallOptions& o) {
  owned_ = false;
  return client_.Call(DeleteNetworkArgs{name_}, o).status();
}

}  // namespace spikeserve

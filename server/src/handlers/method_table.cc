// The table of all methods: a new RPC is one line here.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "handlers/change.h"
#include "handlers/handlers.h"
#include "runtime/method.h"

namespace spikeserve::server {
namespace {

using codec::Envelope;

template <typename Response>
EnvelopeOr ToEnvelope(absl::StatusOr<Outgoing<Response>> response) {
  if (!response.ok()) return std::move(response).status();
  return std::move(*response).Release();
}

// A function. `work` estimates what it takes; without it, it is always computed on the pool.
template <typename Request, typename Response>
Method Plain(absl::StatusOr<Outgoing<Response>> (*handler)(Incoming<Request>, Context&),
             int64_t (*work)(Incoming<Request>) = nullptr) {
  Method method{&Request::default_instance(), [handler](const Envelope& request, HeldNetwork*, Context& context) {
                  return ToEnvelope(handler(Incoming<Request>(request), context));
                }};
  if (work != nullptr) method.work = [work](const Envelope& request) { return work(Incoming<Request>(request)); };
  return method;
}

// The same method, which reads `field` in place where it is of one of `dtypes`: see Method::in_place.
Method InPlace(Method method, int field, absl::InlinedVector<v1::DataType, 2> dtypes) {
  method.in_place.push_back({field, std::move(dtypes)});
  return method;
}

// A method on one network.
template <typename Request, typename Response>
Method OnNetwork(absl::StatusOr<Outgoing<Response>> (*handler)(Incoming<Request>, HeldNetwork&, Context&)) {
  Method method{&Request::default_instance(), [handler](const Envelope& request, HeldNetwork* held, Context& context) {
                  return ToEnvelope(handler(Incoming<Request>(request), *held, context));
                }};
  method.network_of = [](const Envelope& request) -> const std::string& {
    return static_cast<const Request&>(*request.message).network();
  };
  return method;
}

// A method that changes one network.
template <typename Request, typename Response>
Method Change(absl::StatusOr<Outgoing<Response>> (*handler)(Incoming<Request>, HeldNetwork&, Context&)) {
  Method method = OnNetwork(handler);
  method.handle = [handler](const Envelope& envelope, HeldNetwork* held, Context& context) -> EnvelopeOr {
    const Incoming<Request> request(envelope);
    return ChangeNetwork<Response>(request->has_step() ? std::optional(request->step()) : std::nullopt, *held, context,
                                   [&] { return handler(request, *held, context); });
  };
  return method;
}

}  // namespace

const MethodTable& Methods() {
  static const MethodTable& table = *new MethodTable{
      // Voltages are only compared.
      {"/spikeserve.v1.SpikeFunctionService/SpikeCluster",
       InPlace(Plain(SpikeCluster, SpikeClusterWork), v1::SpikeClusterRequest::kVFieldNumber,
               {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT64})},
      {"/spikeserve.v1.SpikeFunctionService/KernelDotProduct", Plain(KernelDotProduct, KernelDotProductWork)},
      {"/spikeserve.v1.SpikeFunctionService/KernelDotProductVjp", Plain(KernelDotProductVjp, KernelDotProductVjpWork)},
      {"/spikeserve.v1.SpikeFunctionService/SpikeSimilarLoss", Plain(SpikeSimilarLoss, SpikeSimilarLossWork)},
      {"/spikeserve.v1.SpikeFunctionService/RedundantOneHot", Plain(RedundantOneHot, RedundantOneHotWork)},
      // Any bits are spikes.
      {"/spikeserve.v1.SpikeFunctionService/FirstSpikeIndex",
       InPlace(Plain(FirstSpikeIndex, FirstSpikeIndexWork), v1::FirstSpikeIndexRequest::kSpikesFieldNumber,
               {v1::DATA_TYPE_BIT})},
      {"/spikeserve.v1.SpikeFunctionService/ThresholdMargin", Plain(ThresholdMargin, ThresholdMarginWork)},
      {"/spikeserve.v1.SpikeFunctionService/StcaLoss",
       InPlace(Plain(StcaLoss, StcaLossWork), v1::StcaLossRequest::kVFieldNumber,
               {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT64})},
      {"/spikeserve.v1.SpikeServerService/ServerStatistics", Plain(ServerStatistics, ServerStatisticsWork)},
      {"/spikeserve.v1.SpikeNetworkService/CreateNetwork", Plain(CreateNetwork)},
      {"/spikeserve.v1.SpikeNetworkService/ListNetworks", Plain(ListNetworks)},
      {"/spikeserve.v1.SpikeNetworkService/GetNetwork", OnNetwork(GetNetwork)},
      {"/spikeserve.v1.SpikeNetworkService/DeleteNetwork", OnNetwork(DeleteNetwork)},
      {"/spikeserve.v1.SpikeNetworkService/SetTraining", Change(SetTraining)},
      {"/spikeserve.v1.SpikeNetworkService/Forward", Change(Forward)},
      {"/spikeserve.v1.SpikeNetworkService/SetThresholdMargin", Change(SetThresholdMargin)},
      {"/spikeserve.v1.SpikeNetworkService/ResetNet", Change(ResetNet)},
      {"/spikeserve.v1.SpikeTrainingService/Backward", Change(Backward)},
      {"/spikeserve.v1.SpikeTrainingService/ZeroGradients", Change(ZeroGradients)},
      {"/spikeserve.v1.SpikeTrainingService/ApplyGradients", Change(ApplyGradients)},
      {"/spikeserve.v1.SpikeTrainingService/TrainStep", Change(TrainStep)},
  };
  return table;
}

}  // namespace spikeserve::server

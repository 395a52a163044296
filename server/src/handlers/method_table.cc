// The table of all methods: a new RPC is one line here.

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "handlers/handlers.h"
#include "runtime/method.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::server {
namespace {

template <typename Response>
MessageOr ToMessage(absl::StatusOr<Response> response) {
  if (!response.ok()) return std::move(response).status();
  return std::make_unique<Response>(*std::move(response));
}

// A method that concerns no network, or none in particular.
template <typename Request, typename Response>
Method Plain(absl::StatusOr<Response> (*handler)(const Request&, Context&)) {
  return {&Request::default_instance(), [handler](const Message& request, HeldNetwork*, Context& context) {
            return ToMessage(handler(static_cast<const Request&>(request), context));
          }};
}

// A method on one network.
template <typename Request, typename Response>
Method OnNetwork(absl::StatusOr<Response> (*handler)(const Request&, HeldNetwork&, Context&)) {
  return {&Request::default_instance(),
          [handler](const Message& request, HeldNetwork* held, Context& context) {
            return ToMessage(handler(static_cast<const Request&>(request), *held, context));
          },
          [](const Message& request) -> const std::string& { return static_cast<const Request&>(request).network(); }};
}

// A method that changes one network: counts the changes, so that a caller who does not know whether its call arrived
// may repeat it.
template <typename Request, typename Response>
Method Change(absl::StatusOr<Response> (*handler)(const Request&, HeldNetwork&, Context&)) {
  Method method = OnNetwork(handler);
  method.handle = [handler](const Message& message, HeldNetwork* held, Context& context) -> MessageOr {
    const auto& request = static_cast<const Request&>(message);
    if (request.has_step() && request.step() != held->next_step) {
      if (request.step() + 1 == held->next_step && held->last_reply != nullptr) {
        if (const auto* reply = dynamic_cast<const Response*>(held->last_reply.get())) {
          return std::make_unique<Response>(*reply);
        }
      }
      return FieldError(absl::StatusCode::kFailedPrecondition, "step", absl::StrCat(request.step()),
                        absl::StrCat(held->next_step, ", the number of the network's next change"));
    }
    absl::StatusOr<Response> response = handler(request, *held, context);
    if (!response.ok()) return std::move(response).status();
    response->set_next_step(++held->next_step);
    // Only a caller that counts steps can ask for the reply again.
    held->last_reply = request.has_step() ? std::make_shared<Response>(*response) : nullptr;
    // The handler has reserved what the change may take; this gives back what it did not.
    context.networks.SetBytes(*held, held->ByteSize()).IgnoreError();
    return std::make_unique<Response>(*std::move(response));
  };
  return method;
}

}  // namespace

const MethodTable& Methods() {
  static const MethodTable& table = *new MethodTable{
      {"/spikeserve.v1.SpikeFunctionService/SpikeCluster", Plain(SpikeCluster)},
      {"/spikeserve.v1.SpikeFunctionService/KernelDotProduct", Plain(KernelDotProduct)},
      {"/spikeserve.v1.SpikeFunctionService/SpikeSimilarLoss", Plain(SpikeSimilarLoss)},
      {"/spikeserve.v1.SpikeFunctionService/RedundantOneHot", Plain(RedundantOneHot)},
      {"/spikeserve.v1.SpikeFunctionService/FirstSpikeIndex", Plain(FirstSpikeIndex)},
      {"/spikeserve.v1.SpikeFunctionService/ThresholdMargin", Plain(ThresholdMargin)},
      {"/spikeserve.v1.SpikeFunctionService/StcaLoss", Plain(StcaLoss)},
      {"/spikeserve.v1.SpikeNetworkService/CreateNetwork", Plain(CreateNetwork)},
      {"/spikeserve.v1.SpikeNetworkService/ListNetworks", Plain(ListNetworks)},
      {"/spikeserve.v1.SpikeNetworkService/GetNetwork", OnNetwork(GetNetwork)},
      {"/spikeserve.v1.SpikeNetworkService/DeleteNetwork", OnNetwork(DeleteNetwork)},
      {"/spikeserve.v1.SpikeNetworkService/SetTraining", Change(SetTraining)},
      {"/spikeserve.v1.SpikeNetworkService/Forward", Change(Forward)},
      {"/spikeserve.v1.SpikeNetworkService/SetThresholdMargin", Change(SetThresholdMargin)},
      {"/spikeserve.v1.SpikeNetworkService/ResetNet", Change(ResetNet)},
  };
  return table;
}

}  // namespace spikeserve::server

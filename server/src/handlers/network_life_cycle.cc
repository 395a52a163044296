// CreateNetwork, ListNetworks, GetNetwork and DeleteNetwork.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "codec/checkpoint_codec.h"
#include "codec/nested_tensors.h"
#include "codec/network_codec.h"
#include "codec/network_state_codec.h"
#include "handlers/handlers.h"
#include "runtime/limits.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

// About what a layer takes beside its elements, with its specification.
constexpr int64_t kLayerBytes = 1500;

}  // namespace

absl::StatusOr<Outgoing<v1::CreateNetworkResponse>> CreateNetwork(Incoming<v1::CreateNetworkRequest> request,
                                                                  Context& context) {
  const Limits& limits = context.limits;
  const int64_t bytes = codec::NestedFloatBytes(*request);
  int64_t beside_tensors = 0;
  for (const v1::Layer& layer : request->layers()) {
    beside_tensors += kLayerBytes;
    // What its vectors are where they are absent.
    if (layer.has_batch_norm2d()) {
      beside_tensors += 4 * int64_t{sizeof(float)} * std::max(0, layer.batch_norm2d().num_features());
    }
  }
  if (bytes > limits.max_network_bytes - std::min(beside_tensors, limits.max_network_bytes)) {
    return OverLimit("layers", bytes, absl::StrCat("bytes of tensors and ", beside_tensors, " of what goes with them"),
                     limits.max_network_bytes, "--max-network-bytes");
  }
  SPIKESERVE_RETURN_IF_ERROR(context.room.Take(beside_tensors, 1));
  SPIKESERVE_ASSIGN_OR_RETURN(Network network, codec::DecodeNetwork(*request, context.room));
  SPIKESERVE_ASSIGN_OR_RETURN(const std::shared_ptr<HeldNetwork> held,
                              context.networks.Add(std::move(network), context.caller.identity));
  Outgoing<v1::CreateNetworkResponse> response(context.buffers);
  response->set_network(held->name);
  response->set_next_step(0);
  return response;
}

absl::StatusOr<Outgoing<v1::ListNetworksResponse>> ListNetworks(Incoming<v1::ListNetworksRequest>, Context& context) {
  Outgoing<v1::ListNetworksResponse> response(context.buffers);
  for (const NetworkStore::Info& info : context.networks.List(context.caller.identity)) {
    auto* entry = response->add_networks();
    entry->set_network(info.name);
    entry->set_bytes(info.bytes);
    entry->set_idle_seconds(absl::ToDoubleSeconds(info.idle));
  }
  return response;
}

absl::StatusOr<Outgoing<v1::GetNetworkResponse>> GetNetwork(Incoming<v1::GetNetworkRequest> request, HeldNetwork& held,
                                                            Context& context) {
  Outgoing<v1::GetNetworkResponse> response(context.buffers);
  // Asked before each part, of so many bytes: nothing is changed, so that there may be an end between them.
  const auto check = [&](int64_t part) -> absl::Status {
    SPIKESERVE_RETURN_IF_ERROR(context.wanted());
    const int64_t bytes = static_cast<int64_t>(response->ByteSizeLong()) + part;
    const int64_t limit = context.limits.max_message_bytes;
    if (bytes > limit) {
      return OverLimit("network", bytes, "bytes of layers and what goes with them", limit, "--max-message-bytes");
    }
    // A copy, and what the response makes of it.
    return context.room.Take(part, 2);
  };
  const Network& network = held.network;
  SPIKESERVE_RETURN_IF_ERROR(check(network.SpecByteSize()));
  for (const LayerSpec& spec : network.Spec()) {
    SPIKESERVE_RETURN_IF_ERROR(context.wanted());
    codec::EncodeLayer(spec, response->add_layers());
  }
  response->set_training(network.training());
  response->set_next_step(held.next_step);
  if (request->include_monitors()) {
    SPIKESERVE_RETURN_IF_ERROR(check(network.MonitorByteSize()));
    RecordRequest parts;
    parts.spikes = parts.v_before_reset = true;
    for (const LayerRecord& record : network.Monitors()) {
      SPIKESERVE_RETURN_IF_ERROR(context.wanted());
      codec::EncodeRecord(record, parts, DataType::kBool, /*single_step=*/false, response->add_monitors());
    }
  }
  if (request->include_state()) {
    SPIKESERVE_RETURN_IF_ERROR(check(network.StateByteSize()));
    codec::EncodeState(network.State(), response->mutable_state());
  }
  if (request->include_optimizer_state()) {
    SPIKESERVE_RETURN_IF_ERROR(check(network.OptimizerByteSize()));
    codec::EncodeOptimizerState(network.GetOptimizerState(), response->mutable_optimizer_state());
  }
  if (request->include_gradients()) {
    SPIKESERVE_RETURN_IF_ERROR(check(network.ParameterByteSize()));
    codec::EncodeParameters(network.Gradients(), response->mutable_gradients());
  }
  response->set_format_version(codec::kNetworkFormatVersion);
  SPIKESERVE_RETURN_IF_ERROR(check(0));
  return response;
}

absl::StatusOr<Outgoing<v1::DeleteNetworkResponse>> DeleteNetwork(Incoming<v1::DeleteNetworkRequest>, HeldNetwork& held,
                                                                  Context& context) {
  SPIKESERVE_RETURN_IF_ERROR(context.networks.Remove(held.name, held.owner));
  return Outgoing<v1::DeleteNetworkResponse>(context.buffers);
}

}  // namespace spikeserve::server

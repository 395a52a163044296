#include "codec/checkpoint_codec.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/network_codec.h"
#include "codec/network_state_codec.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

// What a network is besides its layers.
absl::Status Restore(const v1::CreateNetworkRequest& request, Room room, Network& network) {
  network.SetTraining(request.training());
  // Each goes, once the network has its copy, before the next is decoded.
  {
    SPIKESERVE_ASSIGN_OR_RETURN(const NetworkState state, DecodeState(request.state(), "state", room));
    SPIKESERVE_RETURN_IF_ERROR(network.SetState(state));
  }
  {
    SPIKESERVE_ASSIGN_OR_RETURN(const OptimizerState optimizer_state,
                                DecodeOptimizerState(request.optimizer_state(), "optimizer_state", room));
    SPIKESERVE_RETURN_IF_ERROR(network.SetOptimizerState(optimizer_state));
  }
  if (request.gradients_size() == 0) return absl::OkStatus();
  SPIKESERVE_ASSIGN_OR_RETURN(const auto gradients, DecodeParameters(request.gradients(), "gradients", room));
  return network.SetGradients(gradients);
}

// Whether every bit is 0: -0 is none of the values that gradients begin with.
bool IsInitial(const ParameterTensor& gradient) {
  return std::all_of(gradient.values.begin(), gradient.values.end(),
                     [](float value) { return value == 0 && !std::signbit(value); });
}

}  // namespace

absl::StatusOr<Network> DecodeNetwork(const v1::CreateNetworkRequest& request, Room room) {
  if (request.has_format_version()) {
    SPIKESERVE_RETURN_IF_ERROR(CheckNetworkFormatVersion(request.format_version()));
  }
  std::vector<LayerSpec> layers;
  for (int i = 0; i < request.layers_size(); ++i) {
    SPIKESERVE_ASSIGN_OR_RETURN(LayerSpec layer, DecodeLayer(request.layers(i), absl::StrCat("layers[", i, "]"), room));
    layers.push_back(std::move(layer));
  }
  SPIKESERVE_ASSIGN_OR_RETURN(Network network, Network::Create(std::move(layers)));
  SPIKESERVE_RETURN_IF_ERROR(Restore(request, room, network));
  return network;
}

void EncodeNetwork(const Network& network, v1::CreateNetworkRequest* request) {
  for (const LayerSpec& layer : network.Spec()) EncodeLayer(layer, request->add_layers());
  request->set_training(network.training());
  EncodeState(network.State(), request->mutable_state());
  EncodeOptimizerState(network.GetOptimizerState(), request->mutable_optimizer_state());
  // Those that were never added to are left out, so that they take no memory in the copy either.
  const std::vector<ParameterTensor> gradients = network.Gradients();
  if (!std::all_of(gradients.begin(), gradients.end(), IsInitial)) {
    EncodeParameters(gradients, request->mutable_gradients());
  }
  request->set_format_version(kNetworkFormatVersion);
}

}  // namespace spikeserve::codec

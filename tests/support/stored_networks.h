// Small networks as they are kept on disk.

#ifndef SPIKESERVE_TESTS_SUPPORT_STORED_NETWORKS_H_
#define SPIKESERVE_TESTS_SUPPORT_STORED_NETWORKS_H_

#include <cstdint>
#include <string>

#include "codec/network_state_codec.h"
#include "spikeserve/v1/stored_network.pb.h"

namespace spikeserve::testing {

inline const std::string kNetwork = "0123456789abcdef0123456789abcdef";

// One neuron, before its change `next_step`.
inline v1::StoredNetwork OneStoredNeuron(uint64_t next_step, const std::string& name = kNetwork) {
  v1::StoredNetwork network;
  network.set_network(name);
  network.set_next_step(next_step);
  network.mutable_checkpoint()->add_layers()->mutable_if_node();
  network.mutable_checkpoint()->set_format_version(codec::kNetworkFormatVersion);
  return network;
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_STORED_NETWORKS_H_

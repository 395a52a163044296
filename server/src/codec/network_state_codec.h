// Wire states, parameters and optimisers of networks <-> the compute library's.

#ifndef SPIKESERVE_SERVER_CODEC_NETWORK_STATE_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_NETWORK_STATE_CODEC_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "codec/room.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "spikeserve/compute/network_state.h"
#include "spikeserve/compute/optimizer.h"
#include "spikeserve/v1/network_state.pb.h"

namespace spikeserve::codec {

// The version of what a CreateNetworkRequest may say of a network, which GetNetwork returns: another is not read.
inline constexpr uint32_t kNetworkFormatVersion = 1;
absl::Status CheckNetworkFormatVersion(uint32_t version);

// The Decode functions answer INVALID_ARGUMENT for what is absent or unknown, and the errors of Decode for tensors, of
// which each takes at most `room`; `field` is the path of what is decoded. The values are checked by Network.

absl::StatusOr<Optimizer> DecodeOptimizer(const v1::Optimizer& optimizer, std::string_view field);
void EncodeOptimizer(const Optimizer& optimizer, v1::Optimizer* out);

using WireParameters = google::protobuf::RepeatedPtrField<v1::ParameterTensor>;
absl::StatusOr<std::vector<ParameterTensor>> DecodeParameters(const WireParameters& parameters, std::string_view field,
                                                              Room room);
void EncodeParameters(absl::Span<const ParameterTensor> parameters, WireParameters* out);

absl::StatusOr<NetworkState> DecodeState(const v1::NetworkState& state, std::string_view field, Room room);
void EncodeState(const NetworkState& state, v1::NetworkState* out);

absl::StatusOr<OptimizerState> DecodeOptimizerState(const v1::OptimizerState& state, std::string_view field, Room room);
void EncodeOptimizerState(const OptimizerState& state, v1::OptimizerState* out);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_NETWORK_STATE_CODEC_H_

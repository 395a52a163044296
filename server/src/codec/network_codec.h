// Wire layers and records <-> the compute library's.

#ifndef SPIKESERVE_SERVER_CODEC_NETWORK_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_NETWORK_CODEC_H_

#include <cstdint>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "codec/room.h"
#include "codec/tensor_codec.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::codec {

// Decodes one layer; `field` is its path in the request, such as "layers[2]". Errors: INVALID_ARGUMENT for an absent
// kind or an unknown rule, and those of Decode for the tensors. The values are checked by Network::Create.
absl::StatusOr<LayerSpec> DecodeLayer(const v1::Layer& layer, std::string_view field, Room room);
void EncodeLayer(const LayerSpec& spec, v1::Layer* layer);

// Writes the `parts` of `record`. Where `single_step`, the dimension of time (1) is left out.
void EncodeRecord(const LayerRecord& record, const RecordRequest& parts, DataType mask_dtype, bool single_step,
                  v1::LayerRecord* out);

// Writes a layer's threshold: FLOAT32, a scalar or a tensor.
void EncodeThreshold(const std::variant<float, ThresholdTensor>& threshold, const TensorTarget& out);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_NETWORK_CODEC_H_

// Wire layers on planes, and what leads from planes to features <-> the compute library's. Parts of network_codec.h.

#ifndef SPIKESERVE_SERVER_CODEC_PLANE_LAYER_CODEC_H_
#define SPIKESERVE_SERVER_CODEC_PLANE_LAYER_CODEC_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "codec/room.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::codec {

// `path` is the layer's in the request, such as "layers[2].conv2d". Errors: INVALID_ARGUMENT for extents that are
// absent or not of one or two lengths, and those of Decode for the tensors.
absl::StatusOr<Conv2d> DecodeKind(const v1::Conv2d& in, const std::string& path, Room room);
absl::StatusOr<AvgPool2d> DecodeKind(const v1::AvgPool2d& in, const std::string& path, Room room);
absl::StatusOr<MaxPool2d> DecodeKind(const v1::MaxPool2d& in, const std::string& path, Room room);
absl::StatusOr<Flatten> DecodeKind(const v1::Flatten& in, const std::string& path, Room room);
absl::StatusOr<BatchNorm2d> DecodeKind(const v1::BatchNorm2d& in, const std::string& path, Room room);

void EncodeKind(const Conv2d& spec, v1::Layer* layer);
void EncodeKind(const AvgPool2d& spec, v1::Layer* layer);
void EncodeKind(const MaxPool2d& spec, v1::Layer* layer);
void EncodeKind(const Flatten& spec, v1::Layer* layer);
void EncodeKind(const BatchNorm2d& spec, v1::Layer* layer);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_PLANE_LAYER_CODEC_H_

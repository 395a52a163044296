#include "checkpoint.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "codec/nested_tensors.h"
#include "codec/network_codec.h"
#include "codec/network_state_codec.h"
#include "file/file.h"
#include "google/protobuf/util/json_util.h"
#include "spikeserve/client/checkpoint.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

bool IsJson(const std::string& path) { return absl::EndsWith(path, ".json"); }

absl::StatusOr<std::string> Serialize(const v1::CreateNetworkRequest& request, bool json) {
  std::string bytes;
  if (!json) {
    if (request.SerializeToString(&bytes)) return bytes;
    return absl::InvalidArgumentError("a network of more than 2 GiB, which Protobuf cannot write");
  }
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = true;
  if (const auto status = MessageToJsonString(request, &bytes, options); !status.ok()) {
    return absl::InternalError(absl::StrCat("cannot be written as JSON: ", std::string(status.message())));
  }
  return bytes;
}

absl::StatusOr<v1::CreateNetworkRequest> Parse(const std::string& bytes, bool json) {
  v1::CreateNetworkRequest request;
  if (json) {
    const auto status = google::protobuf::util::JsonStringToMessage(bytes, &request);
    if (!status.ok()) return absl::InvalidArgumentError(std::string(status.message()));
  } else if (!request.ParseFromString(bytes)) {
    return absl::InvalidArgumentError("no checkpoint of a network");
  }
  // Many a file that is none parses.
  if (request.layers().empty() || !request.has_format_version()) {
    return absl::InvalidArgumentError("no checkpoint of a network: it has no layers or no format_version");
  }
  return request;
}

}  // namespace

void EncodeCheckpoint(const CreateNetworkArgs& checkpoint, v1::CreateNetworkRequest& request) {
  for (const LayerSpec& layer : checkpoint.layers) codec::EncodeLayer(layer, request.add_layers());
  request.set_training(checkpoint.training);
  codec::EncodeState(checkpoint.state, request.mutable_state());
  codec::EncodeOptimizerState(checkpoint.optimizer_state, request.mutable_optimizer_state());
  codec::EncodeParameters(checkpoint.gradients, request.mutable_gradients());
  request.set_format_version(codec::kNetworkFormatVersion);
}

absl::StatusOr<CreateNetworkArgs> DecodeCheckpoint(const v1::CreateNetworkRequest& request) {
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckNetworkFormatVersion(request.format_version()));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckElementsAreThere(request));
  CreateNetworkArgs checkpoint;
  for (int i = 0; i < request.layers_size(); ++i) {
    SPIKESERVE_ASSIGN_OR_RETURN(LayerSpec layer,
                                codec::DecodeLayer(request.layers(i), absl::StrCat("layers[", i, "]"), kNoLimit));
    checkpoint.layers.push_back(std::move(layer));
  }
  checkpoint.training = request.training();
  SPIKESERVE_ASSIGN_OR_RETURN(checkpoint.state, codec::DecodeState(request.state(), "state", kNoLimit));
  SPIKESERVE_ASSIGN_OR_RETURN(checkpoint.optimizer_state,
                              codec::DecodeOptimizerState(request.optimizer_state(), "optimizer_state", kNoLimit));
  SPIKESERVE_ASSIGN_OR_RETURN(checkpoint.gradients,
                              codec::DecodeParameters(request.gradients(), "gradients", kNoLimit));
  return checkpoint;
}

absl::StatusOr<CreateNetworkArgs> TakeCheckpoint(const NetworkHandle& network, const CallOptions& o) {
  SPIKESERVE_ASSIGN_OR_RETURN(
      GetNetworkArgs::Result result,
      network.Get({.include_state = true, .include_optimizer_state = true, .include_gradients = true}, o));
  return CreateNetworkArgs{.layers = std::move(result.layers),
                           .training = result.training,
                           .state = std::move(result.state),
                           .optimizer_state = std::move(result.optimizer_state),
                           .gradients = std::move(result.gradients)};
}

absl::Status WriteCheckpoint(const CreateNetworkArgs& checkpoint, const std::string& path) {
  v1::CreateNetworkRequest request;
  EncodeCheckpoint(checkpoint, request);
  const absl::StatusOr<std::string> bytes = Serialize(request, IsJson(path));
  if (!bytes.ok()) return file::AtPath(path, bytes.status());
  return file::WriteFile(path, *bytes);
}

absl::StatusOr<CreateNetworkArgs> ReadCheckpoint(const std::string& path) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::string bytes, file::ReadFile(path));
  const absl::StatusOr<v1::CreateNetworkRequest> request = Parse(bytes, IsJson(path));
  if (!request.ok()) return file::AtPath(path, request.status());
  absl::StatusOr<CreateNetworkArgs> checkpoint = DecodeCheckpoint(*request);
  if (!checkpoint.ok()) return file::AtPath(path, checkpoint.status());
  return checkpoint;
}

}  // namespace spikeserve

// A network's layers in a JSON file.
//
// The file is CreateNetworkRequest in Protobuf's JSON form, {"layers": [...]}, or just the list. Wherever it has a
// tensor (linear.weight, linear.bias, v_threshold_tensor), a string may name the array instead: "FILE.npy",
// "FILE.npz:NAME", or "FILE.npz" of one array, relative to the file's folder; and a list of lengths stands for a weight
// or a bias of this shape that is drawn (train/parameters.h).

#ifndef SPIKESERVE_CLI_LAYERS_FILE_H_
#define SPIKESERVE_CLI_LAYERS_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/report.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::cli {

// `seed` is what parameters are drawn by. Errors name the file and the layer's field.
absl::StatusOr<std::vector<LayerSpec>> ReadLayers(const std::string& path, uint64_t seed);

// Tensors are in the file itself.
absl::Status WriteLayers(const std::string& path, const std::vector<LayerSpec>& layers);

// A layer as the JSON form has it, but for the tensors.
struct LayerDescription {
  std::string name;
  std::string kind;  // Such as "lif_node".
  Json parameters;   // Of the kind.
  std::vector<std::pair<std::string, Tensor>> tensors;
};
absl::StatusOr<LayerDescription> DescribeLayer(const LayerSpec& layer);

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_LAYERS_FILE_H_

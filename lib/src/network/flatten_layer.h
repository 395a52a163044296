// The layer that makes one dimension of several.

#ifndef SPIKESERVE_SRC_NETWORK_FLATTEN_LAYER_H_
#define SPIKESERVE_SRC_NETWORK_FLATTEN_LAYER_H_

#include <optional>
#include <string>
#include <utility>

#include "network/network_layer.h"

namespace spikeserve {

class FlattenLayer final : public NetworkLayer {
 public:
  FlattenLayer(std::string name, const Flatten& spec) : NetworkLayer(std::move(name)), spec_(spec) {}

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  decltype(LayerSpec::kind) Kind() const override { return spec_; }
  absl::StatusOr<Shape> OutputShape(const Shape& input) const override;
  void Forward(const ForwardBlock& block, Executor& executor) override;
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;
  int64_t ByteSize() const override { return sizeof(*this) + name().size(); }

 private:
  // The first and the last of a step's dimensions, of which there are `rank`, that become one; nullopt where it has no
  // such ones.
  std::optional<std::pair<int64_t, int64_t>> Dimensions(int64_t rank) const;

  Flatten spec_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_FLATTEN_LAYER_H_

#include "network/network_layer.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "network/dropout.h"
#include "network/linear_layer.h"
#include "network/low_pass_synapse.h"
#include "network/neuron.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

struct NamedLayer {
  // The kind's name in requests.
  const char* kind;
  std::unique_ptr<NetworkLayer> layer;
};

// The kinds of layers: one line each.
struct LayerFactory {
  std::string& name;

  NamedLayer operator()(LinearLayer& s) { return {"linear", std::make_unique<FullyConnectedLayer>(name, s)}; }
  NamedLayer operator()(IfNode& s) { return {"if_node", MakeNeuron(name, std::move(s))}; }
  NamedLayer operator()(LifNode& s) { return {"lif_node", MakeNeuron(name, std::move(s))}; }
  NamedLayer operator()(PlifNode& s) { return {"plif_node", MakeNeuron(name, std::move(s))}; }
  NamedLayer operator()(RifNode& s) { return {"rif_node", MakeNeuron(name, std::move(s))}; }
  NamedLayer operator()(LowPassSynapse& s) { return {"low_pass_synapse", std::make_unique<SynapseLayer>(name, s)}; }
  NamedLayer operator()(Dropout& s) { return {"dropout", std::make_unique<DropoutLayer>(name, s)}; }
};

}  // namespace

void NetworkLayer::Prepare(const Shape&, int64_t, bool) {}

int64_t NetworkLayer::PrepareByteSize(const Shape&, int64_t, bool) const { return 0; }

absl::StatusOr<std::unique_ptr<NetworkLayer>> MakeNetworkLayer(std::string_view field, LayerSpec spec,
                                                               std::optional<int64_t>& features) {
  auto [kind, layer] = std::visit(LayerFactory{spec.name}, spec.kind);
  const std::string kind_field = absl::StrCat(absl::string_view(field.data(), field.size()), ".", kind);
  if (absl::Status status = layer->Check(kind_field, features); !status.ok()) return status;
  return std::move(layer);
}

Shape WithSteps(int64_t steps, const Shape& step) {
  Shape shape = step;
  shape.insert(shape.begin(), steps);
  return shape;
}

int64_t StepBytes(DataType dtype, int64_t steps, const Shape& step) {
  return AddBytes(0, ByteCount(dtype, WithSteps(steps, step)));
}

absl::Status CheckTau(std::string_view field, double tau) {
  const float used = static_cast<float>(tau);
  if (std::isfinite(used) && used != 0) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(tau), "a finite number other than 0");
}

absl::Status CheckFinite(std::string_view field, double value) {
  if (std::isfinite(static_cast<float>(value))) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value), "a finite number");
}

}  // namespace spikeserve

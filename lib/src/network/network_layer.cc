#include "network/network_layer.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "network/batch_norm2d_layer.h"
#include "network/conv2d_layer.h"
#include "network/dropout.h"
#include "network/flatten_layer.h"
#include "network/linear_layer.h"
#include "network/low_pass_synapse.h"
#include "network/neuron.h"
#include "network/pool2d_layers.h"
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
  NamedLayer operator()(Conv2d& s) { return {"conv2d", std::make_unique<Conv2dLayer>(name, std::move(s))}; }
  NamedLayer operator()(AvgPool2d& s) { return {"avg_pool2d", std::make_unique<AvgPool2dLayer>(name, s)}; }
  NamedLayer operator()(MaxPool2d& s) { return {"max_pool2d", std::make_unique<MaxPool2dLayer>(name, s)}; }
  NamedLayer operator()(Flatten& s) { return {"flatten", std::make_unique<FlattenLayer>(name, s)}; }
  NamedLayer operator()(BatchNorm2d& s) {
    return {"batch_norm2d", std::make_unique<BatchNorm2dLayer>(name, std::move(s))};
  }
};

}  // namespace

std::string KnownShapeString(const Shape& known) {
  return absl::StrCat("[",
                      absl::StrJoin(known, ", ",
                                    [](std::string* out, int64_t length) {
                                      absl::StrAppend(out, length == kAnyLength ? "*" : absl::StrCat(length));
                                    }),
                      "]");
}

double NetworkLayer::StepWork(const Shape& input, const Shape&) const {
  // What is read, computed and written for each element takes longer than a multiplication.
  return 8 * Elements(input);
}

void NetworkLayer::Prepare(const Shape&, int64_t, int64_t, bool, Executor&) {}

int64_t NetworkLayer::PrepareByteSize(const Shape&, int64_t, int64_t, bool) const { return 0; }

absl::Status NetworkLayer::SetState(std::string_view field, const Shape&, const LayerState& state) {
  return CheckStateParts(field, state, "");
}

absl::Status CheckStateParts(std::string_view field, const LayerState& state, std::string_view own) {
  const struct {
    const char* name;
    bool of_state;
    bool of_layer;
  } parts[] = {{".v", !state.v.empty(), own == "v"},
               {".current", !state.current.empty(), own == "current"},
               {".mask", !state.mask.empty(), own == "mask"},
               {".masks_drawn", state.masks_drawn != 0, own == "mask"}};
  for (const auto& [name, of_state, of_layer] : parts) {
    if (!of_state || of_layer) continue;
    return InvalidField(std::string(field) + name,
                        absl::StrCat("a part of a state that layer \"", state.layer, "\" does not have"),
                        own.empty() ? "none: it has no state" : absl::StrCat("its state, ", std::string(own)));
  }
  return absl::OkStatus();
}

absl::Status NetworkLayer::WrongInput(const Shape& input, std::string_view needed) const {
  return InvalidField(
      "input", absl::StrCat("a step of ", ShapeString(input), " at layer \"", name_, "\" (", field_, ")"), needed);
}

absl::Status CheckStatePart(std::string_view field, const Shape& input, absl::Span<const float> values) {
  if (!values.empty() && ElementCount(input) != static_cast<int64_t>(values.size())) {
    return InvalidField(field, absl::StrCat(values.size(), " elements"),
                        absl::StrCat("as many as a step of ", ShapeString(input), " has"));
  }
  const auto nan = std::find_if(values.begin(), values.end(), [](float v) { return std::isnan(v); });
  if (nan == values.end()) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("NaN at element ", nan - values.begin()), "numbers");
}

absl::StatusOr<std::unique_ptr<NetworkLayer>> MakeNetworkLayer(std::string_view field, LayerSpec spec,
                                                               KnownShape& shape) {
  auto [kind, layer] = std::visit(LayerFactory{spec.name}, spec.kind);
  const std::string kind_field = absl::StrCat(absl::string_view(field.data(), field.size()), ".", kind);
  if (absl::Status status = layer->Check(kind_field, shape); !status.ok()) return status;
  layer->set_field(kind_field);
  return std::move(layer);
}

Shape WithSteps(int64_t steps, const Shape& step) {
  Shape shape = step;
  shape.insert(shape.begin(), steps);
  return shape;
}

double Elements(const Shape& shape) { return static_cast<double>(ElementCount(shape).value_or(0)); }

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

absl::Status CheckFinite(std::string_view field, absl::Span<const float> values) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad == values.end()) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(*bad, " at element ", bad - values.begin()), "finite numbers");
}

}  // namespace spikeserve

#include "network/neuron.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

absl::Status CheckSurrogate(const std::string& field, const Surrogate& surrogate) {
  struct Parameter {
    const char* name;
    double value;
  };
  struct Visitor {
    std::vector<Parameter> operator()(const SigmoidSurrogate& s) { return {{".sigmoid.alpha", s.alpha}}; }
    std::vector<Parameter> operator()(const SignSwishSurrogate& s) { return {{".sign_swish.beta", s.beta}}; }
    std::vector<Parameter> operator()(const BilinearLeakyReluSurrogate& s) {
      return {{".bilinear_leaky_relu.a", s.a}, {".bilinear_leaky_relu.b", s.b}, {".bilinear_leaky_relu.c", s.c}};
    }
  };
  for (const Parameter& parameter : std::visit(Visitor(), surrogate)) {
    if (absl::Status s = CheckFinite(field + parameter.name, parameter.value); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status CheckThreshold(const std::string& field, float v_threshold) {
  if (!std::isnan(v_threshold)) return absl::OkStatus();
  return InvalidField(field + ".v_threshold", "NaN", "a number");
}

absl::Status CheckThreshold(const std::string& field, const ThresholdTensor& v_threshold) {
  const auto& [shape, values] = v_threshold;
  const std::string name = field + ".v_threshold_tensor";
  if (ElementCount(shape) != static_cast<int64_t>(values.size())) {
    return InvalidField(name, absl::StrCat(values.size(), " elements"),
                        absl::StrCat("as many as its shape ", ShapeString(shape), " says"));
  }
  const auto nan = std::find_if(values.begin(), values.end(), [](float v) { return std::isnan(v); });
  if (nan == values.end()) return absl::OkStatus();
  return InvalidField(name, absl::StrCat("NaN at element ", nan - values.begin()), "numbers");
}

// w of a RifNode. In float32 throughout, and in this order, as the reference does it.
float RifWeight(const RifNode& node) {
  const float g = *node.g;
  if (!node.bounds) return g;
  const auto [lo, hi] = *node.bounds;
  const float sigmoid = 1.0f / (1.0f + std::exp(-g));
  if (lo == -hi) return (2.0f * sigmoid - 1.0f) * static_cast<float>(hi);
  return sigmoid * static_cast<float>(hi - lo) + static_cast<float>(lo);
}

// For each neuron: Settle fills in the learnable parameter where the specification leaves it out, CheckOwn checks the
// parameters that it alone has, and Charge makes the function that charges a voltage.

void Settle(IfNode&) {}
void Settle(LifNode&) {}
void Settle(PlifNode& node) {
  if (!node.p) node.p = static_cast<float>(1.0 / node.init_tau);
}
void Settle(RifNode& node) {
  if (node.g) return;
  double g = node.init_w;
  if (node.bounds) g = std::log((node.init_w - node.bounds->first) / (node.bounds->second - node.init_w));
  node.g = static_cast<float>(g);
}

absl::Status CheckOwn(const std::string&, const IfNode&) { return absl::OkStatus(); }
absl::Status CheckOwn(const std::string& field, const LifNode& node) { return CheckTau(field + ".tau", node.tau); }
absl::Status CheckOwn(const std::string& field, const PlifNode& node) {
  if (absl::Status status = CheckTau(field + ".init_tau", node.init_tau); !status.ok()) return status;
  return CheckFinite(field + ".p", *node.p);
}
absl::Status CheckOwn(const std::string& field, const RifNode& node) {
  if (absl::Status status = CheckFinite(field + ".init_w", node.init_w); !status.ok()) return status;
  if (node.bounds) {
    const auto [lo, hi] = *node.bounds;
    const bool finite = std::isfinite(static_cast<float>(lo)) && std::isfinite(static_cast<float>(hi)) &&
                        std::isfinite(static_cast<float>(hi - lo));
    const std::string range = absl::StrCat("(", lo, ", ", hi, ")");
    if (!finite || !(lo < hi)) return InvalidField(field + ".amplitude_range", range, "finite numbers lo < hi");
    if (!(lo < node.init_w && node.init_w < hi)) {
      return InvalidField(field + ".init_w", absl::StrCat(node.init_w), absl::StrCat("a number inside of ", range));
    }
  }
  return CheckFinite(field + ".g", *node.g);
}

auto Charge(const IfNode&) {
  return [](float v, float dv, float) { return v + dv; };
}
auto Charge(const LifNode& node) {
  return
      [tau = static_cast<float>(node.tau)](float v, float dv, float v_reset) { return v + (dv - (v - v_reset)) / tau; };
}
auto Charge(const PlifNode& node) {
  return [p = *node.p](float v, float dv, float v_reset) { return v + (dv - (v - v_reset)) * p; };
}
auto Charge(const RifNode& node) {
  return [w = RifWeight(node), keeps_v = node.rule == RifNode::Rule::kDefinition](float v, float dv, float v_reset) {
    const float residue = (v - v_reset) * w;
    return (keeps_v ? v + residue : residue) + dv;
  };
}

template <typename Node>
class NeuronLayer final : public SpikingLayer {
 public:
  NeuronLayer(std::string name, Node node) : SpikingLayer(std::move(name)), node_(std::move(node)) { Settle(node_); }

  absl::Status Check(std::string_view field, std::optional<int64_t>& features) const override {
    if (absl::Status status = CheckOwn(std::string(field), node_); !status.ok()) return status;
    return SpikingLayer::Check(field, features);
  }

  decltype(LayerSpec::kind) Kind() const override { return node_; }

  void set_v_threshold(std::variant<float, ThresholdTensor> v_threshold) override {
    node_.v_threshold = std::move(v_threshold);
  }

  void Step(absl::Span<const float> input, absl::Span<float> output, Executor& executor) override {
    const auto* thresholds = std::get_if<ThresholdTensor>(&node_.v_threshold);
    if (thresholds != nullptr) {
      Step(
          input, output, [t = thresholds->values.data()](int64_t n) { return t[n]; }, executor);
    } else {
      Step(
          input, output, [t = std::get<float>(node_.v_threshold)](int64_t) { return t; }, executor);
    }
    if (monitored()) Watch(output);
  }

 private:
  template <typename Threshold>
  void Step(absl::Span<const float> input, absl::Span<float> output, const Threshold& threshold, Executor& executor) {
    const auto charge = Charge(node_);
    const bool hard = node_.v_reset.has_value();
    const float v_reset = node_.v_reset.value_or(0.0f);
    executor.ParallelFor(static_cast<int64_t>(input.size()), kElementGrain, [&](int64_t begin, int64_t end) {
      const float* dv = input.data();
      float* v = v_.data();
      float* v_before_reset = v_before_reset_.data();
      float* spikes = output.data();
      for (int64_t n = begin; n < end; ++n) {
        const float charged = charge(v[n], dv[n], v_reset);
        // The difference, not a comparison of the two: they disagree where both are infinite.
        const float above = charged - threshold(n);
        const bool spike = above >= 0;
        v_before_reset[n] = charged;
        v[n] = spike ? (hard ? v_reset : above) : charged;
        spikes[n] = spike ? 1.0f : 0.0f;
      }
    });
  }

  const NeuronSpec& neuron() const override { return node_; }

  Node node_;
};

}  // namespace

absl::Status SpikingLayer::Check(std::string_view field, std::optional<int64_t>&) const {
  const std::string prefix(field);
  const NeuronSpec& spec = neuron();
  if (absl::Status status = std::visit([&](const auto& v) { return CheckThreshold(prefix, v); }, spec.v_threshold);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckFinite(prefix + ".v_reset", spec.v_reset.value_or(0)); !status.ok()) return status;
  return CheckSurrogate(prefix + ".surrogate", spec.surrogate);
}

absl::StatusOr<Shape> SpikingLayer::OutputShape(const Shape& input) const {
  const auto* thresholds = std::get_if<ThresholdTensor>(&neuron().v_threshold);
  if (thresholds == nullptr || thresholds->shape == input) return input;
  return InvalidField("input", absl::StrCat("a step of ", ShapeString(input), " at layer \"", name(), "\""),
                      absl::StrCat(ShapeString(thresholds->shape), ", the shape of the layer's thresholds"));
}

void SpikingLayer::Prepare(const Shape& input, int64_t steps, bool) {
  const size_t size = ElementCount(input).value_or(0);
  v_.resize(size, neuron().v_reset.value_or(0.0f));
  v_before_reset_.resize(size);
  if (!monitored()) return;
  if (monitor_shape_.size() == 1) monitor_shape_.insert(monitor_shape_.end(), input.begin(), input.end());
  monitor_shape_[0] += steps;
  if (size == 0) return;
  Piece& piece = monitor_.emplace_back();
  piece.spikes.reserve(steps * size);
  piece.v_before_reset.reserve(steps * size);
}

int64_t SpikingLayer::PrepareByteSize(const Shape& input, int64_t steps, bool) const {
  int64_t bytes = v_.empty() ? StepBytes(DataType::kFloat32, 2, input) : 0;
  if (monitored()) {
    bytes = AddBytes(bytes, StepBytes(DataType::kBool, steps, input));
    bytes = AddBytes(bytes, StepBytes(DataType::kFloat32, steps, input));
    bytes = AddBytes(bytes, sizeof(Piece));
  }
  return bytes;
}

void SpikingLayer::Watch(absl::Span<const float> spikes) {
  if (spikes.empty()) return;
  Piece& piece = monitor_.back();
  piece.spikes.insert(piece.spikes.end(), spikes.begin(), spikes.end());
  piece.v_before_reset.insert(piece.v_before_reset.end(), v_before_reset_.begin(), v_before_reset_.end());
}

LayerRecord SpikingLayer::Monitor() const {
  LayerRecord record;
  record.layer = name();
  record.shape = monitor_shape_;
  const int64_t size = ElementCount(monitor_shape_).value_or(0);
  record.spikes.reserve(size);
  record.v_before_reset.reserve(size);
  for (const Piece& piece : monitor_) {
    record.spikes.insert(record.spikes.end(), piece.spikes.begin(), piece.spikes.end());
    record.v_before_reset.insert(record.v_before_reset.end(), piece.v_before_reset.begin(), piece.v_before_reset.end());
  }
  return record;
}

struct SpikingLayer::Memory : LayerMemory {
  std::vector<float> v;
  std::vector<float> v_before_reset;
  std::deque<Piece> monitor;
  Shape monitor_shape;
};

std::unique_ptr<LayerMemory> SpikingLayer::Take() {
  auto memory = std::make_unique<Memory>();
  memory->v = std::exchange(v_, {});
  memory->v_before_reset = std::exchange(v_before_reset_, {});
  memory->monitor = std::exchange(monitor_, {});
  memory->monitor_shape = std::exchange(monitor_shape_, {0});
  return memory;
}

void SpikingLayer::Put(std::unique_ptr<LayerMemory> memory) {
  auto& mine = static_cast<Memory&>(*memory);
  v_ = std::move(mine.v);
  v_before_reset_ = std::move(mine.v_before_reset);
  monitor_ = std::move(mine.monitor);
  monitor_shape_ = std::move(mine.monitor_shape);
}

void SpikingLayer::Reset() {
  v_ = std::vector<float>();
  v_before_reset_ = std::vector<float>();
  monitor_.clear();
  monitor_shape_ = {0};
}

int64_t SpikingLayer::ByteSize() const {
  int64_t floats = v_.size() + v_before_reset_.size();
  if (const auto* thresholds = std::get_if<ThresholdTensor>(&neuron().v_threshold)) floats += thresholds->values.size();
  const int64_t watched = ElementCount(monitor_shape_).value_or(0);
  return sizeof(NeuronLayer<RifNode>) + name().size() + floats * sizeof(float) + monitor_.size() * sizeof(Piece) +
         watched * (sizeof(uint8_t) + sizeof(float));
}

template <typename Node>
std::unique_ptr<SpikingLayer> MakeNeuron(std::string name, Node node) {
  return std::make_unique<NeuronLayer<Node>>(std::move(name), std::move(node));
}

template std::unique_ptr<SpikingLayer> MakeNeuron(std::string, IfNode);
template std::unique_ptr<SpikingLayer> MakeNeuron(std::string, LifNode);
template std::unique_ptr<SpikingLayer> MakeNeuron(std::string, PlifNode);
template std::unique_ptr<SpikingLayer> MakeNeuron(std::string, RifNode);

}  // namespace spikeserve

#include "network/neuron.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "network/element_loops.h"
#include "network/neuron_rule.h"
#include "simd/neuron_step.h"
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

simd::SurrogateRule RuleOf(const Surrogate& surrogate) {
  using Kind = simd::SurrogateRule::Kind;
  struct Visitor {
    simd::SurrogateRule operator()(const SigmoidSurrogate& s) {
      return {.kind = Kind::kSigmoid, .a = static_cast<float>(s.alpha), .b = 0, .c = 0};
    }
    simd::SurrogateRule operator()(const SignSwishSurrogate& s) {
      return {.kind = Kind::kSignSwish, .a = static_cast<float>(s.beta), .b = 0, .c = 0};
    }
    simd::SurrogateRule operator()(const BilinearLeakyReluSurrogate& s) {
      return {.kind = Kind::kBilinearLeakyRelu,
              .a = static_cast<float>(s.a),
              .b = static_cast<float>(s.b),
              .c = static_cast<float>(s.c)};
    }
  };
  return std::visit(Visitor(), surrogate);
}

// The neurons that are computed together: their voltages stay in the cache from step to step. Sums over neurons are
// those of the chunks, in their order, whatever the executor.
constexpr int64_t kChunk = 2048;

template <typename Node>
class NeuronLayer final : public SpikingLayer {
 public:
  NeuronLayer(std::string name, Node node) : SpikingLayer(std::move(name)), node_(std::move(node)) { Settle(node_); }

  absl::Status Check(std::string_view field, KnownShape& shape) const override {
    if (absl::Status status = CheckOwn(std::string(field), node_); !status.ok()) return status;
    return SpikingLayer::Check(field, shape);
  }

  decltype(LayerSpec::kind) Kind() const override { return node_; }

  void set_v_threshold(std::variant<float, ThresholdTensor> v_threshold) override {
    node_.v_threshold = std::move(v_threshold);
  }

  void Forward(const ForwardBlock& block, Executor& executor) override {
    if constexpr (kLearns<Node>) {
      // Behind the voltages: those that the block begins with.
      if (!block.kept.empty()) CopyElements(v_, block.kept.last(v_.size()), executor);
    }
    UseBlock(block);
    Run(block, executor);
    if (monitored()) Watch(block.output, executor);
  }

  Needs BackwardNeeds() const override {
    Node node = node_;
    return {.input = Learnt(node).needs_input};
  }
  int64_t KeptSize(const Shape& input, int64_t steps) const override {
    return (steps + (kLearns<Node> ? 1 : 0)) * ElementCount(input).value_or(0);
  }

  std::vector<Parameter> Parameters() override {
    const LearntParameter learnt = Learnt(node_);
    if (learnt.name == nullptr) return {};
    return {{.name = learnt.name, .values = absl::MakeSpan(learnt.value, 1), .shape = {}}};
  }

  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override {
    if (is_last) adjoint_.assign(block.grad_output.size() / block.steps, 0.0f);
    RunBack(block, executor);
  }
  void EndBackward() override { adjoint_ = std::vector<float>(); }

 private:
  // Of the neurons from `begin` on.
  simd::NeuronRule Rule(int64_t begin) const {
    const auto* thresholds = std::get_if<ThresholdTensor>(&node_.v_threshold);
    return {.charge = Charge(node_),
            .v_reset = node_.v_reset.value_or(0.0f),
            .hard_reset = node_.v_reset.has_value(),
            .thresholds = thresholds == nullptr ? nullptr : thresholds->values.data() + begin,
            .threshold = thresholds == nullptr ? std::get<float>(node_.v_threshold) : 0};
  }

  void Run(const ForwardBlock& block, Executor& executor) {
    const int64_t size = static_cast<int64_t>(v_.size());
    executor.ParallelFor(size, std::max<int64_t>(64, kElementGrain / block.steps), [&](int64_t begin, int64_t end) {
      const simd::NeuronRule rule = Rule(begin);
      const auto at = [&](auto span, int64_t t) { return span.empty() ? nullptr : span.data() + t * size + begin; };
      for (int64_t t = 0; t < block.steps; ++t) {
        simd::StepForward(rule, {.count = end - begin,
                                 .dv = at(block.input, t),
                                 .v = v_.data() + begin,
                                 .spikes = at(block.output, t),
                                 .v_before_reset = at(v_before_reset_, t),
                                 .v_after_reset = at(v_after_reset_, t)});
      }
    });
  }

  void RunBack(const BackwardBlock& block, Executor& executor) {
    const int64_t size = static_cast<int64_t>(adjoint_.size());
    const int64_t chunks = (size + kChunk - 1) / kChunk;
    std::vector<double> sums(kLearns<Node> ? chunks : 0);
    executor.ParallelFor(chunks, kElementGrain / (kChunk * block.steps) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const double sum = RunChunkBack(block, chunk * kChunk, std::min(size, (chunk + 1) * kChunk));
        if constexpr (kLearns<Node>) sums[chunk] = sum;
      }
    });
    if constexpr (kLearns<Node>) {
      double sum = 0;
      for (const double s : sums) sum += s;
      block.gradients[0][0] += static_cast<float>(sum);
    }
  }

  // Goes back through the steps of the neurons begin ... end - 1; returns the learnt parameter's gradient.
  double RunChunkBack(const BackwardBlock& block, int64_t begin, int64_t end) {
    const simd::NeuronRule rule = Rule(begin);
    const simd::SurrogateRule surrogate = RuleOf(node_.surrogate);
    const int64_t size = static_cast<int64_t>(adjoint_.size());
    const auto at = [&](auto span, int64_t t) { return span.empty() ? nullptr : span.data() + t * size + begin; };
    float grad_charged[kChunk];
    double sum = 0;
    for (int64_t t = block.steps - 1; t >= 0; --t) {
      simd::StepBackward(rule, surrogate,
                         {.count = end - begin,
                          .v_before_reset = at(block.kept, t),
                          .grad_spikes = at(block.grad_output, t),
                          .grad_v_before_reset = at(block.grad_v_before_reset, t),
                          .grad_v_after_reset = at(block.grad_v_after_reset, t),
                          .grad_v = adjoint_.data() + begin,
                          .grad_charged = kLearns<Node> ? grad_charged : nullptr,
                          .grad_dv = at(block.grad_input, t)});
      if constexpr (kLearns<Node>) {
        const auto slope = ParameterSlope(node_);
        const float* first = at(block.kept, block.steps);
        const float* earlier = t == 0 ? nullptr : at(block.kept, t - 1);
        const float* dv = at(block.input, t);
        for (int64_t n = 0; n < end - begin; ++n) {
          const float v = t == 0 ? first[n] : AfterReset(rule, n, earlier[n]);
          sum += static_cast<double>(grad_charged[n]) * slope(v, dv == nullptr ? 0.0f : dv[n], rule.v_reset);
        }
      }
    }
    return sum;
  }

  // What a step leaves of neuron n's charged voltage v.
  static float AfterReset(const simd::NeuronRule& rule, int64_t n, float v) {
    const float above = v - (rule.thresholds == nullptr ? rule.threshold : rule.thresholds[n]);
    return above >= 0 ? (rule.hard_reset ? rule.v_reset : above) : v;
  }

  const NeuronSpec& neuron() const override { return node_; }

  Node node_;
  // The gradient with respect to the voltages after the steps that Backward has not gone through yet.
  std::vector<float> adjoint_;
};

// What Take takes.
struct SpikingMemory final : LayerMemory {
  std::vector<float> v;
  std::deque<MonitorPiece> monitor;
  Shape monitor_shape;
};

// What Mark copies: a monitor's record only grows.
struct SpikingMark final : LayerMemory {
  std::vector<float> v;
  size_t monitor_pieces = 0;
  Shape monitor_shape;
};

}  // namespace

absl::Status SpikingLayer::Check(std::string_view field, KnownShape&) const {
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
  return WrongInput(input, absl::StrCat(ShapeString(thresholds->shape), ", the shape of the layer's thresholds"));
}

void SpikingLayer::Prepare(const Shape& input, int64_t steps, int64_t block, bool, Executor&) {
  const size_t size = ElementCount(input).value_or(0);
  v_.resize(size, neuron().v_reset.value_or(0.0f));
  block_v_before_reset_.resize(keeps_v_before_reset() ? block * size : 0);
  block_v_after_reset_.resize(records_v_after_reset_ ? block * size : 0);
  if (!monitored()) return;
  if (monitor_shape_.size() == 1) monitor_shape_.insert(monitor_shape_.end(), input.begin(), input.end());
  monitor_shape_[0] += steps;
  if (size == 0) return;
  MonitorPiece& piece = monitor_.emplace_back();
  piece.spikes.reserve(steps * size);
  piece.v_before_reset.reserve(steps * size);
}

int64_t SpikingLayer::PrepareByteSize(const Shape& input, int64_t steps, int64_t block, bool) const {
  int64_t bytes = v_.empty() ? StepBytes(DataType::kFloat32, 1, input) : 0;
  if (monitored()) {
    bytes = AddBytes(bytes, StepBytes(DataType::kFloat32, block, input));
    bytes = AddBytes(bytes, StepBytes(DataType::kBool, steps, input));
    bytes = AddBytes(bytes, StepBytes(DataType::kFloat32, steps, input));
    bytes = AddBytes(bytes, sizeof(MonitorPiece));
  }
  return bytes;
}

void SpikingLayer::UseBlock(const ForwardBlock& block) {
  const size_t size = block.output.size();
  v_before_reset_ = !block.kept.empty()
                        ? block.kept.first(size)
                        : absl::MakeSpan(block_v_before_reset_).first(keeps_v_before_reset() ? size : 0);
  v_after_reset_ = absl::MakeSpan(block_v_after_reset_).first(records_v_after_reset_ ? size : 0);
}

void SpikingLayer::EndForward() {
  records_v_before_reset_ = records_v_after_reset_ = false;
  v_before_reset_ = v_after_reset_ = {};
  block_v_before_reset_ = block_v_after_reset_ = ScratchFloats();
}

void SpikingLayer::Watch(absl::Span<const float> spikes, Executor& executor) {
  if (spikes.empty()) return;
  MonitorPiece& piece = monitor_.back();
  StopCheck stop(executor);
  AppendElements(spikes, stop, piece.spikes);
  AppendElements(v_before_reset_, stop, piece.v_before_reset);
}

LayerRecord SpikingLayer::Monitor() const {
  LayerRecord record;
  record.layer = name();
  record.shape = monitor_shape_;
  const int64_t size = ElementCount(monitor_shape_).value_or(0);
  record.spikes.reserve(size);
  record.v_before_reset.reserve(size);
  for (const MonitorPiece& piece : monitor_) {
    record.spikes.insert(record.spikes.end(), piece.spikes.begin(), piece.spikes.end());
    record.v_before_reset.insert(record.v_before_reset.end(), piece.v_before_reset.begin(), piece.v_before_reset.end());
  }
  return record;
}

int64_t SpikingLayer::MonitorByteSize() const {
  return ElementCount(monitor_shape_).value_or(0) * static_cast<int64_t>(sizeof(uint8_t) + sizeof(float));
}

void SpikingLayer::Reset() { Take(); }

std::unique_ptr<LayerMemory> SpikingLayer::Take() {
  auto memory = std::make_unique<SpikingMemory>();
  memory->v = std::exchange(v_, {});
  memory->monitor = std::exchange(monitor_, {});
  memory->monitor_shape = std::exchange(monitor_shape_, {0});
  return memory;
}

void SpikingLayer::Put(std::unique_ptr<LayerMemory> taken) {
  auto& memory = static_cast<SpikingMemory&>(*taken);
  v_ = std::move(memory.v);
  monitor_ = std::move(memory.monitor);
  monitor_shape_ = std::move(memory.monitor_shape);
}

std::unique_ptr<LayerMemory> SpikingLayer::Mark() const {
  auto mark = std::make_unique<SpikingMark>();
  mark->v = v_;
  mark->monitor_pieces = monitor_.size();
  mark->monitor_shape = monitor_shape_;
  return mark;
}

void SpikingLayer::Rewind(std::unique_ptr<LayerMemory> mark) {
  auto& to = static_cast<SpikingMark&>(*mark);
  v_ = std::move(to.v);
  monitor_.resize(to.monitor_pieces);
  monitor_shape_ = std::move(to.monitor_shape);
}

LayerState SpikingLayer::State() const { return {.v = v_}; }

absl::Status SpikingLayer::SetState(std::string_view field, const Shape& input, const LayerState& state) {
  if (absl::Status status = CheckStateParts(field, state, "v"); !status.ok()) return status;
  if (absl::Status status = CheckStatePart(std::string(field) + ".v", input, state.v); !status.ok()) return status;
  v_ = state.v;
  if (monitored()) {
    monitor_.clear();
    monitor_shape_ = {0};
  }
  return absl::OkStatus();
}

int64_t SpikingLayer::ByteSize() const {
  int64_t floats = v_.size();
  if (const auto* thresholds = std::get_if<ThresholdTensor>(&neuron().v_threshold)) floats += thresholds->values.size();
  return sizeof(NeuronLayer<RifNode>) + name().size() + floats * sizeof(float) +
         monitor_.size() * sizeof(MonitorPiece) + MonitorByteSize();
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

#include "spikeserve/compute/network.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "network/network_layer.h"
#include "network/neuron.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

using Layers = std::vector<std::unique_ptr<NetworkLayer>>;

// The indices of the layers by name.
using LayerIndex = absl::flat_hash_map<std::string, size_t>;

LayerIndex IndexOf(const Layers& layers) {
  LayerIndex index;
  for (size_t i = 0; i < layers.size(); ++i) index.emplace(layers[i]->name(), i);
  return index;
}

std::string Quoted(std::string_view name) { return absl::StrCat("\"", std::string(name), "\""); }

// The index of the spiking layer `name`; `field` is the operand that names it.
absl::StatusOr<size_t> FindSpikingLayer(const Layers& layers, const LayerIndex& index, std::string_view name,
                                        std::string_view field) {
  const auto found = index.find(absl::string_view(name.data(), name.size()));
  if (found == index.end()) return InvalidField(field, Quoted(name), "the name of a layer of the network");
  if (layers[found->second]->spiking() == nullptr) {
    return InvalidField(field, Quoted(name), "the name of a spiking layer");
  }
  return found->second;
}

// What a Forward does, once everything about it but the elements is known to be right.
struct ForwardPlan {
  int64_t steps;
  // One step of the input, [batch, features ...].
  Shape sample;
  // What a step of each layer gives.
  std::vector<Shape> step_shapes;
  // For each record the index of its layer.
  std::vector<size_t> recorded;

  // Whether there is anything to compute. A step without elements has none in any layer.
  bool empty() const { return steps == 0 || ElementCount(sample) == 0; }
};

absl::Status CheckSample(const Shape& sample, const Shape& settled) {
  if (settled.empty() || sample == settled) return absl::OkStatus();
  constexpr std::string_view kState = "of the network's state (ResetNet starts anew)";
  if (std::equal(sample.begin() + 1, sample.end(), settled.begin() + 1, settled.end())) {
    return InvalidField("input", absl::StrCat("batch of ", sample[0]),
                        absl::StrCat(settled[0], ", the batch ", std::string(kState)));
  }
  return InvalidField("input", absl::StrCat("steps of ", ShapeString(sample)),
                      absl::StrCat(ShapeString(settled), ", the shape ", std::string(kState)));
}

absl::StatusOr<ForwardPlan> PlanForward(const Layers& layers, const Shape& settled, const Shape& shape,
                                        absl::Span<const RecordRequest> records) {
  constexpr int64_t kMaxSteps = (int64_t{1} << 31) - 1;
  if (shape.size() < 2) {
    return InvalidField("input", absl::StrCat("shape ", ShapeString(shape)), "[T, batch, features ...]");
  }
  ForwardPlan plan{
      .steps = shape[0], .sample = Shape(shape.begin() + 1, shape.end()), .step_shapes = {}, .recorded = {}};
  if (plan.steps > kMaxSteps) {
    return InvalidField("input", absl::StrCat(plan.steps, " steps"), absl::StrCat("at most ", kMaxSteps));
  }
  if (!ByteCount(DataType::kFloat32, shape) || !ByteCount(DataType::kFloat32, plan.sample)) {
    return InvalidField("input", absl::StrCat("shape ", ShapeString(shape)), "lengths >= 0 of fewer than 2^63 bytes");
  }
  if (absl::Status status = CheckSample(plan.sample, settled); !status.ok()) return status;

  plan.step_shapes.reserve(layers.size());
  Shape step = plan.sample;
  for (const auto& layer : layers) {
    absl::StatusOr<Shape> output = layer->OutputShape(step);
    if (!output.ok()) return output.status();
    step = *std::move(output);
    if (!ByteCount(DataType::kFloat32, step) || !ByteCount(DataType::kFloat32, WithSteps(plan.steps, step))) {
      return InvalidField(
          "input", absl::StrCat(plan.steps, " steps of ", ShapeString(step), " after layer ", Quoted(layer->name())),
          "fewer than 2^63 bytes");
    }
    plan.step_shapes.push_back(step);
  }

  if (records.empty()) return plan;
  const LayerIndex index = IndexOf(layers);
  for (size_t i = 0; i < records.size(); ++i) {
    const auto found = FindSpikingLayer(layers, index, records[i].layer, absl::StrCat("records[", i, "].layer"));
    if (!found.ok()) return found.status();
    plan.recorded.push_back(*found);
  }
  return plan;
}

// A record of `shape` to which all steps can be added without another allocation.
LayerRecord MakeRecord(const RecordRequest& request, Shape shape) {
  const int64_t size = *ElementCount(shape);
  LayerRecord record;
  record.layer = request.layer;
  record.shape = std::move(shape);
  if (request.spikes) record.spikes.reserve(size);
  if (request.v_before_reset) record.v_before_reset.reserve(size);
  if (request.v_after_reset) record.v_after_reset.reserve(size);
  return record;
}

void AppendStep(const RecordRequest& request, const SpikingLayer& layer, absl::Span<const float> spikes,
                LayerRecord& record) {
  const auto append = [](auto& to, absl::Span<const float> step) { to.insert(to.end(), step.begin(), step.end()); };
  if (request.spikes) append(record.spikes, spikes);
  if (request.v_before_reset) append(record.v_before_reset, layer.v_before_reset());
  if (request.v_after_reset) append(record.v_after_reset, layer.v_after_reset());
}

}  // namespace

Network::Network(Layers layers) : layers_(std::move(layers)) {}
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::~Network() = default;

absl::StatusOr<Network> Network::Create(std::vector<LayerSpec> specs) {
  if (specs.empty()) return InvalidField("layers", "none", "at least one");
  Layers layers;
  LayerIndex index;
  std::optional<int64_t> features;
  for (size_t i = 0; i < specs.size(); ++i) {
    const std::string field = absl::StrCat("layers[", i, "]");
    if (specs[i].name.empty()) specs[i].name = absl::StrCat(i);
    if (const auto [other, fresh] = index.emplace(specs[i].name, i); !fresh) {
      return InvalidField(field + ".name", absl::StrCat(Quoted(specs[i].name), ", which names layer ", other->second),
                          "a name of its own");
    }
    auto layer = MakeNetworkLayer(field, std::move(specs[i]), features);
    if (!layer.ok()) return layer.status();
    layers.push_back(*std::move(layer));
  }
  return Network(std::move(layers));
}

std::vector<LayerSpec> Network::Spec() const {
  std::vector<LayerSpec> specs;
  for (const auto& layer : layers_) specs.push_back({.name = layer->name(), .kind = layer->Kind()});
  return specs;
}

absl::StatusOr<ForwardResult> Network::Forward(absl::Span<const float> input, const Shape& shape,
                                               absl::Span<const RecordRequest> records, Executor& executor) {
  const absl::StatusOr<ForwardPlan> plan = PlanForward(layers_, sample_shape_, shape, records);
  if (!plan.ok()) return plan.status();
  if (ElementCount(shape) != static_cast<int64_t>(input.size())) {
    return InvalidField("input", absl::StrCat(input.size(), " elements"),
                        absl::StrCat("as many as its shape ", ShapeString(shape), " says"));
  }
  const auto nan = std::find_if(input.begin(), input.end(), [](float x) { return std::isnan(x); });
  if (nan != input.end()) return InvalidField("input", absl::StrCat("NaN at element ", nan - input.begin()), "numbers");

  // From here on nothing fails.
  const auto& [steps, sample, step_shapes, recorded] = *plan;
  ForwardResult result{.shape = WithSteps(steps, step_shapes.back()),
                       .output = {},
                       .output_is_spikes = layers_.back()->spiking() != nullptr,
                       .records = {}};
  result.output.resize(*ElementCount(result.shape));
  for (size_t r = 0; r < records.size(); ++r) {
    result.records.push_back(MakeRecord(records[r], WithSteps(steps, step_shapes[recorded[r]])));
  }
  if (steps == 0) return result;

  sample_shape_ = sample;
  // One buffer for what the even layers give in a step, one for the odd ones; the last layer writes to the result.
  std::vector<float> buffers[2];
  std::vector<size_t> sizes;
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i]->Prepare(i == 0 ? sample : step_shapes[i - 1], steps, training_);
    sizes.push_back(*ElementCount(step_shapes[i]));
    std::vector<float>& buffer = buffers[i % 2];
    if (i + 1 < layers_.size()) buffer.resize(std::max(buffer.size(), sizes[i]));
  }
  if (plan->empty()) return result;

  // Which records each layer's step is added to.
  std::vector<std::vector<size_t>> records_of(layers_.size());
  for (size_t r = 0; r < recorded.size(); ++r) records_of[recorded[r]].push_back(r);

  const size_t input_size = *ElementCount(sample);
  for (int64_t t = 0; t < steps; ++t) {
    absl::Span<const float> step = input.subspan(t * input_size, input_size);
    for (size_t i = 0; i < layers_.size(); ++i) {
      const auto output = i + 1 < layers_.size() ? absl::MakeSpan(buffers[i % 2].data(), sizes[i])
                                                 : absl::MakeSpan(result.output).subspan(t * sizes[i], sizes[i]);
      layers_[i]->Step(step, output, executor);
      for (const size_t r : records_of[i]) AppendStep(records[r], *layers_[i]->spiking(), output, result.records[r]);
      step = output;
    }
  }
  return result;
}

absl::StatusOr<std::variant<float, ThresholdTensor>> Network::SetThresholdMargin(
    std::string_view layer, absl::Span<const double> label_one_hot, const Shape& shape,
    const ThresholdMarginOptions& options) {
  const auto found = FindSpikingLayer(layers_, IndexOf(layers_), layer, "layer");
  if (!found.ok()) return found.status();
  if (absl::Status status = CheckThresholdMargin(options); !status.ok()) return status;
  if (ElementCount(shape) != static_cast<int64_t>(label_one_hot.size())) {
    return InvalidField("label_one_hot", absl::StrCat(label_one_hot.size(), " elements"),
                        absl::StrCat("as many as its shape ", ShapeString(shape), " says"));
  }
  std::variant<float, ThresholdTensor> v_threshold = static_cast<float>(options.eval_threshold);
  if (training_) {
    ThresholdTensor tensor{.shape = shape, .values = std::vector<float>(label_one_hot.size())};
    absl::Status status = TrainingThresholds(label_one_hot, options, absl::MakeSpan(tensor.values));
    if (!status.ok()) return status;
    v_threshold = std::move(tensor);
  }
  layers_[*found]->spiking()->set_v_threshold(v_threshold);
  return v_threshold;
}

void Network::Reset() {
  for (const auto& layer : layers_) layer->Reset();
  sample_shape_.clear();
}

Network::State::State() = default;
Network::State::State(State&&) noexcept = default;
Network::State::~State() = default;

Network::State Network::TakeState() {
  State state;
  state.layers.reserve(layers_.size());
  for (const auto& layer : layers_) state.layers.push_back(layer->Take());
  state.sample_shape = std::exchange(sample_shape_, {});
  return state;
}

void Network::PutState(State state) {
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i]->Put(std::move(state.layers[i]));
  sample_shape_ = std::move(state.sample_shape);
}

std::vector<LayerRecord> Network::Monitors() const {
  std::vector<LayerRecord> records;
  for (const auto& layer : layers_) {
    if (const SpikingLayer* spiking = layer->spiking(); spiking != nullptr && spiking->monitored()) {
      records.push_back(spiking->Monitor());
    }
  }
  return records;
}

int64_t Network::ByteSize() const {
  int64_t bytes = sizeof(*this);
  for (const auto& layer : layers_) bytes = AddBytes(bytes, layer->ByteSize());
  return bytes;
}

absl::StatusOr<int64_t> Network::ForwardByteSize(const Shape& shape, absl::Span<const RecordRequest> records) const {
  const absl::StatusOr<ForwardPlan> plan = PlanForward(layers_, sample_shape_, shape, records);
  if (!plan.ok()) return plan.status();
  const auto& [steps, sample, step_shapes, recorded] = *plan;
  // The two buffers of Forward are counted as one of each layer, which is never less.
  int64_t bytes = StepBytes(DataType::kFloat32, steps, step_shapes.back());
  for (size_t r = 0; r < records.size(); ++r) {
    const Shape& step = step_shapes[recorded[r]];
    bytes = AddBytes(bytes, sizeof(LayerRecord) + records[r].layer.size());
    if (records[r].spikes) bytes = AddBytes(bytes, StepBytes(DataType::kBool, steps, step));
    if (records[r].v_before_reset) bytes = AddBytes(bytes, StepBytes(DataType::kFloat32, steps, step));
    if (records[r].v_after_reset) bytes = AddBytes(bytes, StepBytes(DataType::kFloat32, steps, step));
  }
  if (steps == 0) return bytes;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Shape& input = i == 0 ? sample : step_shapes[i - 1];
    bytes = AddBytes(bytes, layers_[i]->PrepareByteSize(input, steps, training_));
    bytes = AddBytes(bytes, StepBytes(DataType::kFloat32, 1, step_shapes[i]));
  }
  return bytes;
}

}  // namespace spikeserve

#include "spikeserve/compute/network.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "network/element_loops.h"
#include "network/forward_plan.h"
#include "network/learning.h"
#include "network/marked_state.h"
#include "network/network_layer.h"
#include "network/neuron.h"
#include "network/taken_state.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/stopping_executor.h"
#include "stop_check.h"

namespace spikeserve {
namespace {

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

void AppendSteps(const RecordRequest& request, const SpikingLayer& layer, absl::Span<const float> spikes,
                 Executor& executor, LayerRecord& record) {
  StopCheck stop(executor);
  const auto append = [&](auto& to, absl::Span<const float> steps) { AppendElements(steps, stop, to); };
  if (request.spikes) append(record.spikes, spikes);
  if (request.v_before_reset) append(record.v_before_reset, layer.v_before_reset());
  if (request.v_after_reset) append(record.v_after_reset, layer.v_after_reset());
}

// Of values that are 0 or 1.
double CountSpikes(absl::Span<const float> spikes, Executor& executor) {
  // Floats count up to 2^24.
  constexpr size_t kExact = 1 << 24;
  double count = 0;
  for (size_t begin = 0; begin < spikes.size() && !executor.Stopped(); begin += kExact) {
    const absl::Span<const float> part = spikes.subspan(begin, kExact);
    count += Eigen::Map<const Eigen::VectorXf>(part.data(), static_cast<Eigen::Index>(part.size())).sum();
  }
  return count;
}

}  // namespace

Network::Network(Layers layers) : layers_(std::move(layers)), learning_(std::make_unique<Learning>()) {}
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::~Network() = default;

absl::StatusOr<Network> Network::Create(std::vector<LayerSpec> specs) {
  if (specs.empty()) return InvalidField("layers", "none", "at least one");
  Layers layers;
  LayerIndex index;
  KnownShape known;
  for (size_t i = 0; i < specs.size(); ++i) {
    const std::string field = absl::StrCat("layers[", i, "]");
    if (specs[i].name.empty()) specs[i].name = absl::StrCat(i);
    if (const auto [other, fresh] = index.emplace(specs[i].name, i); !fresh) {
      return InvalidField(field + ".name", absl::StrCat(Quoted(specs[i].name), ", which names layer ", other->second),
                          "a name of its own");
    }
    auto layer = MakeNetworkLayer(field, std::move(specs[i]), known);
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

int64_t Network::SpecByteSize() const {
  int64_t bytes = 0;
  for (const auto& layer : layers_) {
    const SpikingLayer* spiking = layer->spiking();
    const int64_t monitor = spiking == nullptr ? 0 : spiking->MonitorByteSize();
    bytes = AddBytes(bytes, layer->ByteSize() - layer->StateByteSize() - monitor);
  }
  return bytes;
}

absl::StatusOr<ForwardResult> Network::Forward(absl::Span<const float> input, const Shape& shape,
                                               const ForwardOptions& options, Executor& executor,
                                               absl::FunctionRef<absl::Status()> wanted) {
  const absl::StatusOr<ForwardPlan> plan = PlanForward(layers_, training_, sample_shape_, shape, options.records);
  if (!plan.ok()) return plan.status();
  if (absl::Status status = CheckValues("input", input, shape, wanted); !status.ok()) return status;
  Trace& trace = learning_->trace;
  Trace dropped;
  if (!options.keep_trace && plan->steps > 0) dropped = std::exchange(trace, {});
  Trace* const kept = options.keep_trace ? &trace : nullptr;
  if (!TakesLong(plan->work)) return RunForward(input, *plan, options.records, kept, nullptr, executor, AlwaysWanted);

  const auto kept_before = static_cast<ptrdiff_t>(trace.blocks.size());
  StoppingExecutor stopping(executor, wanted);
  MarkedState before(layers_, sample_shape_);
  // Also where memory runs out on the way, which is thrown.
  absl::Cleanup rewind = [&] {
    before.Rewind();
    if (options.keep_trace) {
      trace.blocks.erase(trace.blocks.begin() + kept_before, trace.blocks.end());
    } else {
      trace = std::move(dropped);
    }
  };
  absl::StatusOr<ForwardResult> result =
      RunForward(input, *plan, options.records, kept, nullptr, stopping, [&] { return stopping.Ask(); });
  if (result.ok()) std::move(rewind).Cancel();
  return result;
}

absl::StatusOr<ForwardResult> Network::RunForward(absl::Span<const float> input, const ForwardPlan& plan,
                                                  absl::Span<const RecordRequest> records, Trace* trace,
                                                  std::vector<double>* spike_counts, Executor& executor,
                                                  absl::FunctionRef<absl::Status()> wanted) {
  const auto& [steps, block, sample, step_shapes, work, recorded] = plan;
  ForwardResult result{.shape = WithSteps(steps, step_shapes.back()),
                       .output = {},
                       .output_is_spikes = layers_.back()->spiking() != nullptr,
                       .records = {}};
  result.output.reserve(*ElementCount(result.shape));
  for (size_t r = 0; r < records.size(); ++r) {
    result.records.push_back(MakeRecord(records[r], WithSteps(steps, step_shapes[recorded[r]])));
    if (plan.empty()) continue;
    layers_[recorded[r]]->spiking()->RecordVoltages(records[r].v_before_reset, records[r].v_after_reset);
  }
  if (steps == 0) return result;
  const absl::Cleanup end = [&] {
    if (plan.empty()) return;
    for (const auto& layer : layers_) {
      if (SpikingLayer* spiking = layer->spiking()) spiking->EndForward();
    }
  };

  sample_shape_ = sample;
  // One buffer for what the even layers give in a block, one for the odd ones; the last layer writes to the result.
  ScratchFloats buffers[2];
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i]->SetStep(plan.input_shape(i), training_);
    layers_[i]->Prepare(plan.input_shape(i), steps, block, training_, executor);
    ScratchFloats& buffer = buffers[i % 2];
    if (i + 1 < layers_.size()) buffer.resize(std::max<size_t>(buffer.size(), block * plan.output_size(i)));
  }
  if (plan.empty()) return result;

  // Which records each layer's steps are added to.
  std::vector<std::vector<size_t>> records_of(layers_.size());
  for (size_t r = 0; r < recorded.size(); ++r) records_of[recorded[r]].push_back(r);
  const std::vector<bool> traced = trace == nullptr ? std::vector<bool>() : TracedValuesOf(layers_);

  const int64_t input_size = *ElementCount(sample);
  for (int64_t t = 0; t < steps; t += block) {
    const int64_t count = std::min(block, steps - t);
    TraceBlock* kept = nullptr;
    if (trace != nullptr) {
      kept = &trace->blocks.emplace_back(TraceBlock{count, {}, {}});
      kept->values.resize(layers_.size() + 1);
      kept->kept.resize(layers_.size());
    }
    absl::Span<const float> values = input.subspan(t * input_size, count * input_size);
    for (size_t i = 0; i < layers_.size(); ++i) {
      const int64_t size = plan.output_size(i);
      if (i + 1 == layers_.size()) result.output.resize((t + count) * size);
      ForwardBlock forward{.steps = count,
                           .input = values,
                           .output = i + 1 < layers_.size()
                                         ? absl::MakeSpan(buffers[i % 2]).first(count * size)
                                         : absl::MakeSpan(result.output).subspan(t * size, count * size),
                           .kept = {}};
      if (kept != nullptr) {
        if (traced[i]) kept->values[i].emplace(values, count, executor);
        kept->kept[i].resize(layers_[i]->KeptSize(plan.input_shape(i), count));
        forward.kept = absl::MakeSpan(kept->kept[i]);
      }
      if (absl::Status status = wanted(); !status.ok()) return status;
      layers_[i]->Forward(forward, executor);
      for (const size_t r : records_of[i]) {
        AppendSteps(records[r], *layers_[i]->spiking(), forward.output, executor, result.records[r]);
      }
      if (spike_counts != nullptr && layers_[i]->spiking() != nullptr) {
        (*spike_counts)[i] += CountSpikes(forward.output, executor);
      }
      values = forward.output;
    }
    if (kept != nullptr && traced.back()) kept->values.back().emplace(values, count, executor);
  }
  // The executor may have stopped in the last layer.
  if (absl::Status status = wanted(); !status.ok()) return status;
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
  learning_->trace = {};
  return v_threshold;
}

void Network::Reset() {
  for (const auto& layer : layers_) layer->Reset();
  sample_shape_.clear();
  learning_->trace = {};
}

absl::Status Network::ResetAndRun(absl::FunctionRef<absl::Status()> run) {
  TakenState before(layers_, sample_shape_);
  Trace trace_before = std::exchange(learning_->trace, {});
  absl::Cleanup undo = [&] {
    before.PutBack();
    learning_->trace = std::move(trace_before);
  };
  absl::Status status = run();
  if (status.ok()) std::move(undo).Cancel();
  return status;
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

int64_t Network::MonitorByteSize() const {
  int64_t bytes = 0;
  for (const auto& layer : layers_) {
    if (const SpikingLayer* spiking = layer->spiking()) bytes = AddBytes(bytes, spiking->MonitorByteSize());
  }
  return bytes;
}

void Network::SetTraining(bool training) {
  if (training == training_) return;
  training_ = training;
  learning_->trace = {};
}

int64_t Network::ByteSize() const {
  int64_t bytes = AddBytes(sizeof(*this), learning_->ByteSize());
  for (const auto& layer : layers_) bytes = AddBytes(bytes, layer->ByteSize());
  return bytes;
}

absl::StatusOr<int64_t> Network::ForwardByteSize(const Shape& shape, absl::Span<const RecordRequest> records) const {
  const absl::StatusOr<ForwardPlan> plan = PlanForward(layers_, training_, sample_shape_, shape, records);
  if (!plan.ok()) return plan.status();
  const auto& [steps, block, sample, step_shapes, work, recorded] = *plan;
  int64_t bytes = StepBytes(DataType::kFloat32, steps, step_shapes.back());
  for (size_t r = 0; r < records.size(); ++r) {
    const Shape& step = step_shapes[recorded[r]];
    bytes = AddBytes(bytes, sizeof(LayerRecord) + records[r].layer.size());
    if (records[r].spikes) bytes = AddBytes(bytes, StepBytes(DataType::kBool, steps, step));
    // Each, and its block.
    const int64_t voltages = StepBytes(DataType::kFloat32, AddBytes(steps, block), step);
    if (records[r].v_before_reset) bytes = AddBytes(bytes, voltages);
    if (records[r].v_after_reset) bytes = AddBytes(bytes, voltages);
  }
  if (steps == 0) return bytes;
  int64_t buffers[2] = {0, 0};
  for (size_t i = 0; i < layers_.size(); ++i) {
    bytes = AddBytes(bytes, layers_[i]->PrepareByteSize(plan->input_shape(i), steps, block, training_));
    if (i + 1 < layers_.size()) {
      buffers[i % 2] = std::max(buffers[i % 2], StepBytes(DataType::kFloat32, block, step_shapes[i]));
    }
    // A copy of the state, for the case that it is given up.
    if (TakesLong(work)) bytes = AddBytes(bytes, StepBytes(DataType::kFloat32, 1, plan->input_shape(i)));
  }
  return AddBytes(AddBytes(bytes, buffers[0]), buffers[1]);
}

}  // namespace spikeserve

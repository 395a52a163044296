#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "network/backward.h"
#include "network/forward_plan.h"
#include "network/learning.h"
#include "network/neuron.h"
#include "network/taken_state.h"
#include "network/training_loss.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/compute/stopping_executor.h"

namespace spikeserve {
namespace {

// What a training step does, once everything about it but the elements is known to be right.
struct TrainPlan {
  ForwardPlan forward;
  // Of the way there and back, and of the losses.
  double work;
  size_t output;
  // The layer of each loss, and its record of `records`; the last record is the output's.
  std::vector<size_t> loss_layers;
  std::vector<RecordRequest> records;
};

absl::StatusOr<size_t> FindOutput(const Layers& layers, const LayerIndex& index, const std::string& name) {
  if (!name.empty()) return FindSpikingLayer(layers, index, name, "output_layer");
  for (size_t i = layers.size(); i-- > 0;) {
    if (layers[i]->spiking() != nullptr) return i;
  }
  return InvalidField("output_layer", "none: no layer spikes", "a network with a spiking layer");
}

absl::Status CheckLabels(const Classes& classes, int64_t batch) {
  if (static_cast<int64_t>(classes.labels.size()) != batch) {
    return InvalidField("labels", absl::StrCat(classes.labels.size(), " elements"),
                        absl::StrCat(batch, ", the batch of input"));
  }
  for (int64_t b = 0; b < batch; ++b) {
    if (classes.labels[b] >= 0 && classes.labels[b] < classes.num_classes) continue;
    return InvalidField("labels", absl::StrCat(classes.labels[b], " at element ", b),
                        absl::StrCat("numbers in [0, ", classes.num_classes, "), num_classes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainPlan> PlanTrainStep(const Layers& layers, const Shape& shape, const TrainStepOptions& options) {
  const int64_t num_classes = options.num_classes;
  if (absl::Status status = CheckOptimizer(options.optimizer); !status.ok()) return status;
  absl::StatusOr<ForwardPlan> forward = PlanForward(layers, /*training=*/true, /*settled=*/{}, shape, {});
  if (!forward.ok()) return forward.status();
  TrainPlan plan{.forward = *std::move(forward), .work = 0, .output = 0, .loss_layers = {}, .records = {}};
  plan.work = 3 * plan.forward.work;
  if (plan.forward.empty()) {
    return InvalidField("input", absl::StrCat("shape ", ShapeString(shape)), "at least one step, sample and feature");
  }
  if (num_classes < 1) return InvalidField("num_classes", absl::StrCat(num_classes), ">= 1");

  const LayerIndex index = IndexOf(layers);
  const absl::StatusOr<size_t> output = FindOutput(layers, index, options.output_layer);
  if (!output.ok()) return output.status();
  plan.output = *output;
  absl::Status fits = CheckClassLayer("output_layer", plan.forward.step_shapes[*output], num_classes);
  if (!fits.ok()) return fits;
  if (options.margin.has_value()) {
    const ThresholdMarginOptions margin{.threshold0 = options.margin->threshold0,
                                        .threshold1 = options.margin->threshold1};
    if (absl::Status status = CheckThresholdMargin(margin); !status.ok()) return WithinField("margin", status);
  }

  if (options.losses.empty()) return InvalidField("losses", "none", "at least one");
  for (size_t k = 0; k < options.losses.size(); ++k) {
    const LossTerm& term = options.losses[k];
    const std::string field = absl::StrCat("losses[", k, "]");
    size_t layer = plan.output;
    if (!term.layer.empty()) {
      const auto found = FindSpikingLayer(layers, index, term.layer, field + ".layer");
      if (!found.ok()) return found.status();
      layer = *found;
    }
    if (absl::Status s = CheckLoss(field, term, plan.forward.step_shapes[layer], num_classes); !s.ok()) return s;
    plan.work += LossWork(term, plan.forward.steps, plan.forward.step_shapes[layer]);
    plan.loss_layers.push_back(layer);
    plan.records.push_back(Needed(term));
    plan.forward.recorded.push_back(layer);
  }
  plan.records.push_back({.layer = layers[plan.output]->name(), .spikes = true});
  plan.forward.recorded.push_back(plan.output);
  return plan;
}

// The thresholds of the step: higher for the neurons of a sample's class.
ThresholdTensor MarginThresholds(const Shape& step, const Classes& classes, const TrainingMargin& margin) {
  ThresholdTensor thresholds{.shape = step, .values = std::vector<float>(*ElementCount(step))};
  const int64_t votes = step[1] / classes.num_classes;
  for (int64_t i = 0; i < static_cast<int64_t>(thresholds.values.size()); ++i) {
    const bool right = i % step[1] / votes == classes.labels[i / step[1]];
    thresholds.values[i] = static_cast<float>(right ? margin.threshold1 : margin.threshold0);
  }
  return thresholds;
}

int64_t CountCorrect(const LayerRecord& output, const Classes& classes, Executor& executor) {
  const RowMatrix<float> counts = CountsOfClasses(output, classes.num_classes, executor);
  int64_t correct = 0;
  for (int64_t b = 0; b < counts.rows(); ++b) {
    Eigen::Index best;
    counts.row(b).maxCoeff(&best);
    correct += best == classes.labels[b];
  }
  return correct;
}

// Adds the gradients of a loss to those of its layer.
void Add(LossValue value, LayerGradient& to, std::vector<std::vector<float>>& storage) {
  const auto add = [&](std::vector<float>& values, absl::Span<const float>& sum) {
    if (values.empty()) return;
    if (!sum.empty()) {
      for (size_t i = 0; i < values.size(); ++i) values[i] += sum[i];
    }
    sum = storage.emplace_back(std::move(values));
  };
  add(value.grad_spikes, to.spikes);
  add(value.grad_v_before_reset, to.v_before_reset);
}

}  // namespace

absl::StatusOr<Network::TrainStepMemory> Network::TrainStepByteSize(const Shape& shape,
                                                                    const TrainStepOptions& options) const {
  const absl::StatusOr<TrainPlan> plan = PlanTrainStep(layers_, shape, options);
  if (!plan.ok()) return plan.status();
  const ForwardPlan& forward = plan->forward;
  TrainStepMemory memory;
  memory.trace_bytes = memory.bytes = TraceBytesOf(layers_, forward);
  const auto add = [&](int64_t floats_of_a_step, int64_t steps, size_t layer) {
    memory.bytes =
        AddBytes(memory.bytes, StepBytes(DataType::kFloat32, floats_of_a_step * steps, forward.step_shapes[layer]));
  };
  // The output; the records, and their losses' gradients.
  add(1, forward.steps, layers_.size() - 1);
  for (const size_t layer : forward.recorded) add(2, forward.steps, layer);
  // What a layer keeps, and what it gives and gets on the way forth and back.
  for (size_t i = 0; i < layers_.size(); ++i) add(4, forward.block, i);
  memory.bytes = AddBytes(memory.bytes, BackwardBytesOf(layers_, forward));
  // Gradients, the optimiser's memory, and what becomes of that and of the parameters.
  memory.bytes = AddBytes(memory.bytes, TimesBytes(6, ParameterByteSize()));
  return memory;
}

absl::StatusOr<TrainStepResult> Network::TrainStep(absl::Span<const float> input, const Shape& shape,
                                                   absl::Span<const int64_t> labels, const TrainStepOptions& options,
                                                   Executor& executor, absl::FunctionRef<absl::Status()> wanted) {
  const Classes classes{labels, options.num_classes};
  const absl::StatusOr<TrainPlan> plan = PlanTrainStep(layers_, shape, options);
  if (!plan.ok()) return plan.status();
  if (absl::Status status = CheckLabels(classes, shape[1]); !status.ok()) return status;
  if (absl::Status status = CheckValues("input", input, shape, wanted); !status.ok()) return status;

  // All that the steps change is put aside, and back again if anything fails. A step that succeeds leaves what the
  // layers have learnt from the batch, but none of the state.
  TakenState before(layers_, sample_shape_);
  const bool training_before = std::exchange(training_, true);
  SpikingLayer& output = *layers_[plan->output]->spiking();
  const std::variant<float, ThresholdTensor> threshold_before = output.v_threshold();
  bool succeeded = false;
  const absl::Cleanup restore = [&] {
    output.set_v_threshold(threshold_before);
    training_ = training_before;
    if (!succeeded) return before.PutBack();
    for (const auto& layer : layers_) layer->Reset();
    sample_shape_.clear();
  };
  if (options.margin.has_value()) {
    output.set_v_threshold(MarginThresholds(plan->forward.step_shapes[plan->output], classes, *options.margin));
  }

  StoppingExecutor stopping(executor, wanted);
  const auto ask = [&] { return stopping.Ask(); };
  Executor& threads = TakesLong(plan->work) ? stopping : executor;
  Trace trace;
  std::vector<double> spike_counts(layers_.size());
  const absl::StatusOr<ForwardResult> forward =
      RunForward(input, plan->forward, plan->records, &trace, &spike_counts, threads, ask);
  if (!forward.ok()) return forward.status();
  const ForwardResult& result = *forward;

  TrainStepResult step{.loss = 0, .losses = {}, .correct = 0, .accuracy = 0, .spike_rates = {}};
  std::vector<LayerGradient> gradients(layers_.size());
  std::vector<std::vector<float>> storage;
  storage.reserve(2 * options.losses.size());
  OuterGradients outer{{}, std::vector<const LayerGradient*>(layers_.size())};
  for (size_t k = 0; k < options.losses.size(); ++k) {
    const size_t layer = plan->loss_layers[k];
    absl::StatusOr<LossValue> value =
        Evaluate(options.losses[k], result.records[k], layers_[layer]->spiking()->v_threshold(), classes, threads);
    if (absl::Status status = ask(); !status.ok()) return status;
    if (!value.ok()) return WithinField(absl::StrCat("losses[", k, "]"), value.status());
    step.loss += options.losses[k].weight * value->loss;
    step.losses.push_back(value->loss);
    Add(*std::move(value), gradients[layer], storage);
    outer.layers[layer] = &gradients[layer];
  }
  if (!std::isfinite(step.loss)) {
    return FieldError(absl::StatusCode::kFailedPrecondition, "losses", absl::StrCat("a loss of ", step.loss),
                      "a finite one: nothing was changed");
  }

  step.correct = CountCorrect(result.records.back(), classes, threads);

  ParameterNumbers parameter_gradients = ZerosFor(layers_);
  absl::Status status =
      RunBackward(layers_, plan->forward, training_, trace, outer, parameter_gradients, {}, threads, ask);
  if (!status.ok()) return status;
  if (status = UpdateParameters(layers_, parameter_gradients, options.optimizer, learning_->optimizer, threads, ask);
      !status.ok()) {
    return status;
  }
  succeeded = true;
  learning_->trace = {};
  step.accuracy = static_cast<double>(step.correct) / static_cast<double>(labels.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i]->spiking() == nullptr) continue;
    const double neurons = static_cast<double>(plan->forward.output_size(i));
    step.spike_rates.push_back(
        {layers_[i]->name(), spike_counts[i] / (neurons * static_cast<double>(plan->forward.steps))});
  }
  return step;
}

}  // namespace spikeserve

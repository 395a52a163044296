#include "network/backward.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "network/element_loops.h"
#include "network/forward_plan.h"
#include "network/network_layer.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/stopping_executor.h"
#include "zero_fill.h"

namespace spikeserve {
namespace {

// The first layer that the gradient must reach.
size_t FirstLayer(const Layers& layers, bool to_input) {
  if (to_input) return 0;
  size_t first = 0;
  while (first < layers.size() && layers[first]->Parameters().empty()) ++first;
  return first;
}

// The steps of a trace.
absl::StatusOr<ForwardPlan> PlanTrace(const Layers& layers, bool training, const Shape& sample, int64_t steps) {
  return PlanForward(layers, training, sample, WithSteps(steps, sample), {});
}

void AddTo(absl::Span<float> sum, absl::Span<const float> values, Executor& executor) {
  executor.ParallelFor(static_cast<int64_t>(values.size()), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum[i] += values[i];
  });
}

}  // namespace

absl::Status RunBackward(const Layers& layers, const ForwardPlan& plan, bool training, const Trace& trace,
                         const OuterGradients& outer, ParameterNumbers& gradients, absl::Span<float> grad_input,
                         Executor& executor, absl::FunctionRef<absl::Status()> wanted) {
  for (size_t i = 0; i < layers.size(); ++i) layers[i]->SetStep(plan.input_shape(i), training);
  const absl::Cleanup end = [&] {
    for (const auto& layer : layers) layer->EndBackward();
  };
  const size_t first = FirstLayer(layers, !grad_input.empty());
  std::vector<std::vector<absl::Span<float>>> gradient_spans(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    for (auto& values : gradients[i]) gradient_spans[i].push_back(absl::MakeSpan(values));
  }
  // What the gradient is with respect to what a layer gives, and to what goes into it.
  ScratchFloats grad, next;
  ScratchFloats input, output;

  int64_t t = trace.steps();
  for (size_t b = trace.blocks.size(); b-- > 0;) {
    const TraceBlock& block = trace.blocks[b];
    const bool is_last = b + 1 == trace.blocks.size();
    t -= block.steps;
    // The part of all steps' values that is this block's.
    const auto part = [&](absl::Span<const float> values, int64_t size) {
      return values.empty() ? values : values.subspan(t * size, block.steps * size);
    };
    const auto read = [&](size_t index, int64_t size, ScratchFloats& values) {
      values.resize(block.steps * size);
      block.values[index]->Read(absl::MakeSpan(values), executor);
    };
    const int64_t output_size = plan.output_size(layers.size() - 1);
    const absl::Span<const float> grad_output = part(outer.output, output_size);
    grad.resize(block.steps * output_size);
    if (grad_output.empty()) ZeroFill(grad.data(), static_cast<int64_t>(grad.size() * sizeof(float)), executor);
    CopyElements(grad_output, absl::MakeSpan(grad), executor);

    for (size_t i = layers.size(); i-- > first;) {
      if (absl::Status status = wanted(); !status.ok()) return status;
      const int64_t size = plan.output_size(i);
      const int64_t input_size = *ElementCount(plan.input_shape(i));
      BackwardBlock backward{.steps = block.steps,
                             .input = {},
                             .output = {},
                             .kept = block.kept[i],
                             .grad_output = grad,
                             .grad_input = {},
                             .grad_v_before_reset = {},
                             .grad_v_after_reset = {},
                             .gradients = gradient_spans[i]};
      if (const LayerGradient* own = outer.layers.empty() ? nullptr : outer.layers[i]) {
        AddTo(absl::MakeSpan(grad), part(own->spikes, size), executor);
        backward.grad_v_before_reset = part(own->v_before_reset, size);
        backward.grad_v_after_reset = part(own->v_after_reset, size);
      }
      const NetworkLayer::Needs needs = layers[i]->BackwardNeeds();
      if (needs.input) read(i, input_size, input), backward.input = input;
      if (needs.output) read(i + 1, size, output), backward.output = output;
      if (i > first) {
        next.resize(block.steps * input_size);
        backward.grad_input = absl::MakeSpan(next);
      } else if (!grad_input.empty()) {
        backward.grad_input = grad_input.subspan(t * input_size, block.steps * input_size);
      }
      layers[i]->Backward(backward, is_last, executor);
      std::swap(grad, next);
    }
  }
  return wanted();  // The executor may have stopped in the first layer.
}

int64_t TraceBytesOf(const Layers& layers, const ForwardPlan& plan) {
  const std::vector<bool> traced = TracedValuesOf(layers);
  const int64_t blocks = (plan.steps + plan.block - 1) / plan.block;
  int64_t bytes = 0;
  const auto add_values = [&](size_t index, const Shape& step) {
    bytes = AddBytes(bytes, blocks * static_cast<int64_t>(sizeof(std::optional<TracedValues>)));
    if (!traced[index]) return;
    const bool spikes = index > 0 && layers[index - 1]->spiking() != nullptr;
    // Bits of a step take whole groups of 64 bytes.
    bytes = AddBytes(bytes, spikes ? AddBytes(StepBytes(DataType::kBit, plan.steps, step), 64 * plan.steps)
                                   : StepBytes(DataType::kFloat32, plan.steps, step));
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    add_values(i, plan.input_shape(i));
    // Of whole blocks and the rest.
    const auto add_kept = [&](int64_t count, int64_t steps) {
      if (count == 0 || steps == 0) return;
      const int64_t kept = TimesBytes(layers[i]->KeptSize(plan.input_shape(i), steps), sizeof(float));
      bytes = AddBytes(bytes, TimesBytes(count, AddBytes(kept, sizeof(ScratchFloats))));
    };
    if (plan.steps > 0) add_kept(plan.steps / plan.block, plan.block), add_kept(1, plan.steps % plan.block);
  }
  add_values(layers.size(), plan.step_shapes.back());
  return AddBytes(bytes, blocks * static_cast<int64_t>(sizeof(TraceBlock)));
}

int64_t BackwardBytesOf(const Layers& layers, const ForwardPlan& plan) {
  const auto floats = [&](int64_t steps, const Shape& step) { return StepBytes(DataType::kFloat32, steps, step); };
  int64_t all_steps = 0, most = floats(plan.block, plan.input_shape(0));
  for (size_t i = 0; i < layers.size(); ++i) {
    all_steps = AddBytes(all_steps, floats(1, plan.step_shapes[i]));
    most = std::max(most, floats(plan.block, plan.step_shapes[i]));
  }
  // What goes through the layers: gradients with respect to both sides, and what each got and gave.
  return AddBytes(all_steps, TimesBytes(4, most));
}

absl::StatusOr<BackwardResult> Network::Backward(const BackwardOptions& args, Executor& executor,
                                                 absl::FunctionRef<absl::Status()> wanted) {
  const int64_t steps = trace_steps();
  if (steps == 0) {
    return FieldError(absl::StatusCode::kFailedPrecondition, "network", "no trace",
                      "a Forward that keeps its trace since the last reset or change of the network");
  }
  const auto plan = PlanTrace(layers_, training_, sample_shape_, steps);
  if (!plan.ok()) return plan.status();

  const auto check = [&](const std::string& field, absl::Span<const float> values, const Shape& step) {
    return values.empty() ? absl::OkStatus() : CheckValues(field, values, WithSteps(steps, step), wanted);
  };
  if (absl::Status s = check("grad_output", args.grad_output, plan->step_shapes.back()); !s.ok()) return s;
  if (args.grad_output.empty() && args.layers.empty()) {
    return InvalidField("grad_output", "absent, as are gradients of layers", "at least one gradient");
  }
  OuterGradients outer{args.grad_output, std::vector<const LayerGradient*>(layers_.size())};
  const LayerIndex index = IndexOf(layers_);
  for (size_t k = 0; k < args.layers.size(); ++k) {
    const LayerGradient& gradient = args.layers[k];
    const std::string field = absl::StrCat("layer_gradients[", k, "]");
    const auto found = FindSpikingLayer(layers_, index, gradient.layer, field + ".layer");
    if (!found.ok()) return found.status();
    if (outer.layers[*found] != nullptr) {
      return InvalidField(field + ".layer", Quoted(gradient.layer) + " again", "each layer once");
    }
    outer.layers[*found] = &gradient;
    const Shape& step = plan->step_shapes[*found];
    if (absl::Status s = check(field + ".grad_spikes", gradient.spikes, step); !s.ok()) return s;
    if (absl::Status s = check(field + ".grad_v_before_reset", gradient.v_before_reset, step); !s.ok()) return s;
    if (absl::Status s = check(field + ".grad_v_after_reset", gradient.v_after_reset, step); !s.ok()) return s;
  }

  BackwardResult result;
  if (args.compute_grad_input) {
    result.shape = WithSteps(steps, sample_shape_);
    result.grad_input.resize(*ElementCount(result.shape));
  }
  StoppingExecutor stopping(executor, wanted);
  ParameterNumbers before = learning_->gradients;
  if (learning_->gradients.empty()) learning_->gradients = ZerosFor(layers_);
  absl::Status status = RunBackward(layers_, *plan, training_, learning_->trace, outer, learning_->gradients,
                                    absl::MakeSpan(result.grad_input), TakesLong(plan->work) ? stopping : executor,
                                    [&] { return stopping.Ask(); });
  if (!status.ok()) {
    learning_->gradients = std::move(before);
    return status;
  }
  learning_->trace = {};
  return result;
}

int64_t Network::BackwardResultByteSize(const BackwardOptions& options) const {
  return options.compute_grad_input && trace_steps() > 0 ? StepBytes(DataType::kFloat32, trace_steps(), sample_shape_)
                                                         : 0;
}

int64_t Network::BackwardByteSize() const {
  if (trace_steps() == 0) return 0;
  const auto plan = PlanTrace(layers_, training_, sample_shape_, trace_steps());
  return plan.ok() ? BackwardBytesOf(layers_, *plan) : 0;
}

int64_t Network::trace_steps() const { return learning_->trace.steps(); }

std::optional<Shape> Network::TracedShape(std::string_view layer) const {
  if (trace_steps() == 0) return std::nullopt;
  const auto plan = PlanTrace(layers_, training_, sample_shape_, trace_steps());
  if (!plan.ok()) return std::nullopt;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layer.empty() ? i + 1 == layers_.size() : layers_[i]->name() == layer) {
      return WithSteps(plan->steps, plan->step_shapes[i]);
    }
  }
  return std::nullopt;
}

int64_t Network::trace_bytes() const { return learning_->trace.ByteSize(); }

absl::StatusOr<int64_t> Network::TraceByteSize(const Shape& shape) const {
  const absl::StatusOr<ForwardPlan> plan = PlanForward(layers_, training_, sample_shape_, shape, {});
  if (!plan.ok()) return plan.status();
  return AddBytes(trace_bytes(), TraceBytesOf(layers_, *plan));
}

int64_t Network::ParameterByteSize() const { return ByteSizeFor(layers_); }

std::vector<ParameterTensor> Network::Gradients() const { return Export(layers_, learning_->gradients); }

void Network::ZeroGradients() { learning_->gradients.clear(); }

absl::Status Network::SetGradients(absl::Span<const ParameterTensor> gradients) {
  absl::StatusOr<ParameterNumbers> numbers = Import("gradients", layers_, gradients);
  if (!numbers.ok()) return std::move(numbers).status();
  learning_->gradients = *std::move(numbers);
  return absl::OkStatus();
}

absl::Status Network::ApplyGradients(const Optimizer& optimizer, Executor& executor,
                                     absl::FunctionRef<absl::Status()> wanted) {
  StoppingExecutor stopping(executor, wanted);
  const ParameterNumbers zeros = learning_->gradients.empty() ? ZerosFor(layers_) : ParameterNumbers();
  const ParameterNumbers& gradients = learning_->gradients.empty() ? zeros : learning_->gradients;
  absl::Status status =
      UpdateParameters(layers_, gradients, optimizer, learning_->optimizer, stopping, [&] { return stopping.Ask(); });
  if (status.ok()) learning_->trace = {};
  return status;
}

}  // namespace spikeserve

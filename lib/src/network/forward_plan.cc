#include "network/forward_plan.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "network/neuron.h"
#include "shortened.h"
#include "spikeserve/compute/field_error.h"
#include "stop_check.h"

namespace spikeserve {
namespace {

// The most elements that a layer gives at a time, but for a single step: so many that threads are worth their wakening,
// and so few that the next layer finds them in the cache.
constexpr int64_t kBlockElements = 1 << 19;

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

}  // namespace

LayerIndex IndexOf(const Layers& layers) {
  LayerIndex index;
  for (size_t i = 0; i < layers.size(); ++i) index.emplace(layers[i]->name(), i);
  return index;
}

std::string Quoted(std::string_view name) { return absl::StrCat("\"", Shortened(name, 200), "\""); }

absl::StatusOr<size_t> FindSpikingLayer(const Layers& layers, const LayerIndex& index, std::string_view name,
                                        std::string_view field) {
  const auto found = index.find(absl::string_view(name.data(), name.size()));
  if (found == index.end()) return InvalidField(field, Quoted(name), "the name of a layer of the network");
  if (layers[found->second]->spiking() == nullptr) {
    return InvalidField(field, Quoted(name), "the name of a spiking layer");
  }
  return found->second;
}

absl::StatusOr<ForwardPlan> PlanForward(const Layers& layers, bool training, const Shape& settled, const Shape& shape,
                                        absl::Span<const RecordRequest> records) {
  constexpr int64_t kMaxSteps = (int64_t{1} << 31) - 1;
  if (shape.size() < 2) {
    return InvalidField("input", absl::StrCat("shape ", ShapeString(shape)), "[T, batch, features ...]");
  }
  ForwardPlan plan{.steps = shape[0],
                   .block = 1,
                   .sample = Shape(shape.begin() + 1, shape.end()),
                   .step_shapes = {},
                   .work = 0,
                   .recorded = {}};
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
    if (absl::Status status = training ? layer->CheckTraining(step) : absl::OkStatus(); !status.ok()) return status;
    const double step_work = layer->StepWork(step, *output);
    step = *std::move(output);
    if (!ByteCount(DataType::kFloat32, step) || !ByteCount(DataType::kFloat32, WithSteps(plan.steps, step))) {
      return InvalidField(
          "input", absl::StrCat(plan.steps, " steps of ", ShapeString(step), " after layer ", Quoted(layer->name())),
          "fewer than 2^63 bytes");
    }
    plan.step_shapes.push_back(step);
    plan.work += static_cast<double>(plan.steps) * step_work;
  }

  int64_t largest = std::max<int64_t>(1, *ElementCount(plan.sample));
  for (const Shape& s : plan.step_shapes) largest = std::max(largest, *ElementCount(s));
  plan.block = std::clamp<int64_t>(kBlockElements / largest, 1, std::max<int64_t>(1, plan.steps));

  if (records.empty()) return plan;
  const LayerIndex index = IndexOf(layers);
  for (size_t i = 0; i < records.size(); ++i) {
    const auto found = FindSpikingLayer(layers, index, records[i].layer, absl::StrCat("records[", i, "].layer"));
    if (!found.ok()) return found.status();
    plan.recorded.push_back(*found);
  }
  return plan;
}

absl::Status CheckValues(std::string_view field, absl::Span<const float> values, const Shape& shape,
                         absl::FunctionRef<absl::Status()> wanted) {
  if (ElementCount(shape) != static_cast<int64_t>(values.size())) {
    return InvalidField(field, absl::StrCat(values.size(), " elements"),
                        absl::StrCat("as many as its shape ", ShapeString(shape), " says"));
  }
  // The first NaN is looked for only where there is one: a search cannot look at several elements at once.
  constexpr size_t kPiece = 1 << 12;
  size_t asked = 0;
  for (size_t begin = 0; begin < values.size(); begin += kPiece) {
    if (begin - asked >= kElementsPerCheck) {
      if (absl::Status status = wanted(); !status.ok()) return status;
      asked = begin;
    }
    const absl::Span<const float> piece = values.subspan(begin, kPiece);
    unsigned any = 0;
    for (const float x : piece) any |= x != x ? 1u : 0u;
    if (any == 0) continue;
    const auto nan = std::find_if(piece.begin(), piece.end(), [](float x) { return std::isnan(x); });
    return InvalidField(field, absl::StrCat("NaN at element ", begin + (nan - piece.begin())), "numbers");
  }
  return absl::OkStatus();
}

}  // namespace spikeserve

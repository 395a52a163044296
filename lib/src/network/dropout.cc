#include "network/dropout.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "network/element_loops.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014), and
// the increment of its counter.
uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;

struct DropoutMemory final : LayerMemory {
  uint64_t masks_drawn = 0;
  std::vector<float> mask;
};

}  // namespace

absl::Status DropoutLayer::Check(std::string_view field, KnownShape&) const {
  if (spec_.p >= 0 && spec_.p < 1) return absl::OkStatus();
  return InvalidField(std::string(field) + ".p", absl::StrCat(spec_.p), "a probability in [0, 1)");
}

void DropoutLayer::SetStep(const Shape&, bool training) { training_ = training; }

void DropoutLayer::Prepare(const Shape& input, int64_t, int64_t, bool training, Executor& executor) {
  if (!training || !mask_.empty()) return;
  const uint64_t stream = Mix(Mix(spec_.seed + kGamma) + ++masks_drawn_ * kGamma);
  const float scale = Scale();
  mask_.resize(ElementCount(input).value_or(0));
  executor.ParallelFor(static_cast<int64_t>(mask_.size()), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      // 53 bits, so exact as a double, in [0, 1).
      const double uniform = static_cast<double>(Mix(stream + (static_cast<uint64_t>(n) + 1) * kGamma) >> 11) * 0x1p-53;
      mask_[n] = uniform < spec_.p ? 0 : scale;
    }
  });
}

float DropoutLayer::Scale() const { return static_cast<float>(1 / (1 - spec_.p)); }

int64_t DropoutLayer::PrepareByteSize(const Shape& input, int64_t, int64_t, bool training) const {
  return training && mask_.empty() ? StepBytes(DataType::kFloat32, 1, input) : 0;
}

void DropoutLayer::Mask(int64_t steps, absl::Span<const float> input, absl::Span<float> output,
                        Executor& executor) const {
  if (!training_) {
    CopyElements(input, output, executor);
    return;
  }
  const int64_t size = static_cast<int64_t>(mask_.size());
  executor.ParallelFor(size, std::max<int64_t>(64, kElementGrain / steps), [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < steps; ++t) {
      const float* x = input.data() + t * size;
      float* y = output.data() + t * size;
      // Selected, not multiplied: what is dropped is 0, even an infinity.
      for (int64_t n = begin; n < end; ++n) y[n] = mask_[n] == 0 ? 0 : x[n] * mask_[n];
    }
  });
}

void DropoutLayer::Forward(const ForwardBlock& block, Executor& executor) {
  Mask(block.steps, block.input, block.output, executor);
}

void DropoutLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  if (!block.grad_input.empty()) Mask(block.steps, block.grad_output, block.grad_input, executor);
}

std::unique_ptr<LayerMemory> DropoutLayer::Take() {
  auto memory = std::make_unique<DropoutMemory>();
  memory->masks_drawn = masks_drawn_;
  memory->mask = std::exchange(mask_, {});
  return memory;
}

std::unique_ptr<LayerMemory> DropoutLayer::Mark() const {
  auto memory = std::make_unique<DropoutMemory>();
  memory->masks_drawn = masks_drawn_;
  memory->mask = mask_;
  return memory;
}

void DropoutLayer::Put(std::unique_ptr<LayerMemory> taken) {
  auto& memory = static_cast<DropoutMemory&>(*taken);
  masks_drawn_ = memory.masks_drawn;
  mask_ = std::move(memory.mask);
}

absl::Status DropoutLayer::SetState(std::string_view field, const Shape& input, const LayerState& state) {
  if (absl::Status s = CheckStateParts(field, state, "mask"); !s.ok()) return s;
  const std::string name = std::string(field) + ".mask";
  if (absl::Status s = CheckStatePart(name, input, state.mask); !s.ok()) return s;
  const auto is_neither = [scale = Scale()](float m) { return m != 0 && m != scale; };
  const auto bad = std::find_if(state.mask.begin(), state.mask.end(), is_neither);
  if (bad != state.mask.end()) {
    return InvalidField(name, absl::StrCat(*bad, " at element ", bad - state.mask.begin()),
                        absl::StrCat("0 or ", Scale(), ", 1 / (1 - p)"));
  }
  mask_ = state.mask;
  masks_drawn_ = state.masks_drawn;
  return absl::OkStatus();
}

int64_t DropoutLayer::ByteSize() const { return sizeof(*this) + name().size() + mask_.size() * sizeof(float); }

}  // namespace spikeserve

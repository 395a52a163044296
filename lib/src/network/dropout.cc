#include "network/dropout.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
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

}  // namespace

struct DropoutLayer::Memory : LayerMemory {
  uint64_t masks_drawn;
  std::vector<float> mask;
};

absl::Status DropoutLayer::Check(std::string_view field, std::optional<int64_t>&) const {
  if (spec_.p >= 0 && spec_.p < 1) return absl::OkStatus();
  return InvalidField(std::string(field) + ".p", absl::StrCat(spec_.p), "a probability in [0, 1)");
}

void DropoutLayer::Prepare(const Shape& input, int64_t, bool training) {
  training_ = training;
  if (!training || !mask_.empty()) return;
  const uint64_t stream = Mix(Mix(spec_.seed + kGamma) + ++masks_drawn_ * kGamma);
  const float scale = static_cast<float>(1 / (1 - spec_.p));
  mask_.resize(ElementCount(input).value_or(0));
  for (uint64_t n = 0; n < mask_.size(); ++n) {
    // 53 bits, so exact as a double, in [0, 1).
    const double uniform = static_cast<double>(Mix(stream + (n + 1) * kGamma) >> 11) * 0x1p-53;
    mask_[n] = uniform < spec_.p ? 0 : scale;
  }
}

int64_t DropoutLayer::PrepareByteSize(const Shape& input, int64_t, bool training) const {
  return training && mask_.empty() ? StepBytes(DataType::kFloat32, 1, input) : 0;
}

std::unique_ptr<LayerMemory> DropoutLayer::Take() {
  auto memory = std::make_unique<Memory>();
  memory->masks_drawn = masks_drawn_;
  memory->mask = std::exchange(mask_, {});
  return memory;
}

void DropoutLayer::Put(std::unique_ptr<LayerMemory> memory) {
  auto& mine = static_cast<Memory&>(*memory);
  masks_drawn_ = mine.masks_drawn;
  mask_ = std::move(mine.mask);
}

void DropoutLayer::Step(absl::Span<const float> input, absl::Span<float> output, Executor& executor) {
  executor.ParallelFor(static_cast<int64_t>(input.size()), kElementGrain, [&](int64_t begin, int64_t end) {
    if (!training_) {
      std::copy(input.begin() + begin, input.begin() + end, output.begin() + begin);
      return;
    }
    // Selected, not multiplied: what is dropped is 0, even an infinity.
    for (int64_t n = begin; n < end; ++n) output[n] = mask_[n] == 0 ? 0 : input[n] * mask_[n];
  });
}

int64_t DropoutLayer::ByteSize() const { return sizeof(*this) + name().size() + mask_.size() * sizeof(float); }

}  // namespace spikeserve

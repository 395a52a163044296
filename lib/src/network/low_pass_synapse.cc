#include "network/low_pass_synapse.h"

#include <utility>

namespace spikeserve {

absl::Status SynapseLayer::Check(std::string_view field, std::optional<int64_t>&) const {
  return CheckTau(std::string(field) + ".tau", spec_.tau);
}

void SynapseLayer::Prepare(const Shape& input, int64_t, bool) { current_.resize(ElementCount(input).value_or(0)); }

struct SynapseLayer::Memory : LayerMemory {
  std::vector<float> current;
};

int64_t SynapseLayer::PrepareByteSize(const Shape& input, int64_t, bool) const {
  return current_.empty() ? StepBytes(DataType::kFloat32, 1, input) : 0;
}

std::unique_ptr<LayerMemory> SynapseLayer::Take() {
  auto memory = std::make_unique<Memory>();
  memory->current = std::exchange(current_, {});
  return memory;
}

void SynapseLayer::Put(std::unique_ptr<LayerMemory> memory) {
  current_ = std::move(static_cast<Memory&>(*memory).current);
}

void SynapseLayer::Step(absl::Span<const float> input, absl::Span<float> output, Executor& executor) {
  const float tau = static_cast<float>(spec_.tau);
  executor.ParallelFor(static_cast<int64_t>(input.size()), kElementGrain, [&](int64_t begin, int64_t end) {
    const float* s = input.data();
    float* current = current_.data();
    float* y = output.data();
    for (int64_t n = begin; n < end; ++n) {
      current[n] = current[n] - (1 - s[n]) * current[n] / tau + s[n];
      y[n] = current[n];
    }
  });
}

int64_t SynapseLayer::ByteSize() const { return sizeof(*this) + name().size() + current_.size() * sizeof(float); }

}  // namespace spikeserve

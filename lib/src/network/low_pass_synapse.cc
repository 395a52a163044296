#include "network/low_pass_synapse.h"

#include <algorithm>
#include <utility>

#include "network/element_loops.h"

namespace spikeserve {
namespace {

// As for the neurons: those that are computed together, whose sums are added up in their order.
constexpr int64_t kChunk = 2048;

struct SynapseMemory final : LayerMemory {
  std::vector<float> current;
};

}  // namespace

SynapseLayer::SynapseLayer(std::string name, const LowPassSynapse& spec) : NetworkLayer(std::move(name)), spec_(spec) {
  if (spec_.learnable && !spec_.p) spec_.p = static_cast<float>(1 / spec_.tau);
}

absl::Status SynapseLayer::Check(std::string_view field, KnownShape&) const {
  if (absl::Status status = CheckTau(std::string(field) + ".tau", spec_.tau); !status.ok()) return status;
  return CheckFinite(std::string(field) + ".p", spec_.p.value_or(0));
}

void SynapseLayer::Prepare(const Shape& input, int64_t, int64_t, bool, Executor&) {
  current_.resize(ElementCount(input).value_or(0));
}

int64_t SynapseLayer::PrepareByteSize(const Shape& input, int64_t, int64_t, bool) const {
  return current_.empty() ? StepBytes(DataType::kFloat32, 1, input) : 0;
}

int64_t SynapseLayer::KeptSize(const Shape& input, int64_t) const { return ElementCount(input).value_or(0); }

std::vector<Parameter> SynapseLayer::Parameters() {
  if (!spec_.learnable) return {};
  return {{.name = "p", .values = absl::MakeSpan(&*spec_.p, 1), .shape = {}}};
}

void SynapseLayer::Forward(const ForwardBlock& block, Executor& executor) {
  CopyElements(absl::MakeConstSpan(current_).first(block.kept.size()), block.kept, executor);
  const int64_t size = static_cast<int64_t>(current_.size());
  const auto run = [&](const auto& decay) {
    executor.ParallelFor(size, std::max<int64_t>(64, kElementGrain / block.steps), [&](int64_t begin, int64_t end) {
      float* current = current_.data();
      for (int64_t t = 0; t < block.steps; ++t) {
        const float* s = block.input.data() + t * size;
        float* y = block.output.data() + t * size;
        for (int64_t n = begin; n < end; ++n) {
          current[n] = current[n] - decay((1 - s[n]) * current[n]) + s[n];
          y[n] = current[n];
        }
      }
    });
  };
  if (spec_.learnable) {
    run([p = *spec_.p](float x) { return x * p; });
  } else {
    run([tau = static_cast<float>(spec_.tau)](float x) { return x / tau; });
  }
}

void SynapseLayer::Backward(const BackwardBlock& block, bool is_last, Executor& executor) {
  const int64_t size = static_cast<int64_t>(block.grad_output.size()) / block.steps;
  if (is_last) adjoint_.assign(size, 0.0f);
  const float rate =
      spec_.learnable ? *spec_.p : static_cast<float>(1 / static_cast<double>(static_cast<float>(spec_.tau)));
  const int64_t chunks = (size + kChunk - 1) / kChunk;
  std::vector<double> sums(chunks);
  executor.ParallelFor(chunks, kElementGrain / (kChunk * block.steps) + 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      for (int64_t t = block.steps - 1; t >= 0; --t) {
        const float* s = block.input.data() + t * size;
        const float* earlier = t > 0 ? block.output.data() + (t - 1) * size : block.kept.data();
        const float* grad_output = block.grad_output.data() + t * size;
        float* grad_input = block.grad_input.empty() ? nullptr : block.grad_input.data() + t * size;
        for (int64_t n = chunk * kChunk; n < std::min(size, (chunk + 1) * kChunk); ++n) {
          const float grad = grad_output[n] + adjoint_[n];
          if (grad_input != nullptr) grad_input[n] = grad * (1 + earlier[n] * rate);
          sums[chunk] -= static_cast<double>(grad) * (1 - s[n]) * earlier[n];
          adjoint_[n] = grad * (1 - (1 - s[n]) * rate);
        }
      }
    }
  });
  if (!spec_.learnable) return;
  double sum = 0;
  for (const double s : sums) sum += s;
  block.gradients[0][0] += static_cast<float>(sum);
}

std::unique_ptr<LayerMemory> SynapseLayer::Take() {
  auto memory = std::make_unique<SynapseMemory>();
  memory->current = std::exchange(current_, {});
  return memory;
}

std::unique_ptr<LayerMemory> SynapseLayer::Mark() const {
  auto memory = std::make_unique<SynapseMemory>();
  memory->current = current_;
  return memory;
}

void SynapseLayer::Put(std::unique_ptr<LayerMemory> memory) {
  current_ = std::move(static_cast<SynapseMemory&>(*memory).current);
}

absl::Status SynapseLayer::SetState(std::string_view field, const Shape& input, const LayerState& state) {
  if (absl::Status status = CheckStateParts(field, state, "current"); !status.ok()) return status;
  absl::Status status = CheckStatePart(std::string(field) + ".current", input, state.current);
  if (status.ok()) current_ = state.current;
  return status;
}

int64_t SynapseLayer::ByteSize() const { return sizeof(*this) + name().size() + current_.size() * sizeof(float); }

}  // namespace spikeserve

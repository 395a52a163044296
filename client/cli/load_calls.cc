#include "cli/load_calls.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "absl/types/span.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::cli {
namespace {

constexpr int64_t kSteps = 100;
constexpr int64_t kClasses = 10;

// Operands of one call, which refers to them.
template <typename Args>
struct Operands {
  std::vector<Tensor> tensors;
  Args args;
};

template <typename Args>
LoadCall Describe(std::shared_ptr<const Operands<Args>> operands) {
  const Tensor& first = operands->tensors[0];
  return {first.dtype(), first.shape(), first.byte_size(),
          [operands](const Client& client, const CallOptions& options, std::function<void(absl::Status)> done) {
            client.Start<Args>(operands->args, options,
                               [done = std::move(done)](Client::ResultOr<Args> result) { done(result.status()); });
          }};
}

// The call with the arguments that `make_args` makes of the tensors.
template <typename Args, typename... Tensors>
LoadCall MakeCall(Args (*make_args)(const std::vector<Tensor>&), Tensors... tensors) {
  std::vector<Tensor> operands;
  (operands.push_back(std::move(tensors)), ...);
  Args args = make_args(operands);  // Refers to the tensors' elements, which stay where they are.
  return Describe<Args>(std::make_shared<const Operands<Args>>(Operands<Args>{std::move(operands), std::move(args)}));
}

// Voltages [T, N] that reach a threshold of 1 in about 7 % of the steps.
Tensor Voltages(int64_t bytes) {
  const int64_t values = std::max<int64_t>(1, bytes / static_cast<int64_t>(sizeof(float)));
  const int64_t steps = std::min(kSteps, values);
  Tensor v(DataType::kFloat32, {steps, values / steps});
  std::minstd_rand random(1);
  std::normal_distribution<float> voltage(0.25f, 0.5f);
  for (float& value : v.values<float>()) value = voltage(random);
  return v;
}

// Bits [rows, cols], each 1 with a probability of 1/8; a multiple of 8 columns.
Tensor Spikes(int64_t rows, int64_t cols) {
  Tensor spikes(DataType::kBit, {rows, cols});
  std::minstd_rand random(1);
  const auto bits = [&random] { return static_cast<uint8_t>(random() >> 8); };
  auto* const bytes = static_cast<uint8_t*>(spikes.data());
  for (int64_t i = 0; i < spikes.byte_size(); ++i) bytes[i] = bits() & bits() & bits();
  return spikes;
}

// A row of spikes for each sample.
Tensor Samples(const LoadSize& size) {
  return Spikes(size.samples, 8 * std::max<int64_t>(1, size.bytes / size.samples));
}

// The classes 0, 1, ... in turn.
Tensor Labels(int64_t count) {
  Tensor labels(DataType::kInt32, {count});
  for (int64_t i = 0; i < count; ++i) labels.values<int32_t>()[i] = static_cast<int32_t>(i % kClasses);
  return labels;
}

Tensor OneHot(int64_t samples) {
  Tensor one_hot(DataType::kBool, {samples, kClasses});
  for (int64_t i = 0; i < samples; ++i) one_hot.values<bool>()[i * kClasses + i % kClasses] = true;
  return one_hot;
}

LoadCall SpikeClusterCall(const LoadSize& size) {
  return MakeCall<SpikeClusterArgs>(
      [](const std::vector<Tensor>& t) {
        return SpikeClusterArgs{.v = t[0], .v_threshold = 1.0f, .options = {.t_in = 2}, .index_output = true};
      },
      Voltages(size.bytes));
}

LoadCall KernelDotProductCall(const LoadSize& size) {
  return MakeCall<KernelDotProductArgs>(
      [](const std::vector<Tensor>& t) { return KernelDotProductArgs{.x = t[0], .kernel = LinearKernel{}}; },
      Samples(size));
}

LoadCall KernelDotProductVjpCall(const LoadSize& size) {
  Tensor grad_output(DataType::kFloat32, {size.samples, size.samples});
  std::fill_n(grad_output.values<float>().begin(), size.samples * size.samples, 1.0f);
  return MakeCall<KernelDotProductVjpArgs>(
      [](const std::vector<Tensor>& t) {
        return KernelDotProductVjpArgs{.x = t[0], .kernel = LinearKernel{}, .grad_output = t[1]};
      },
      Samples(size), std::move(grad_output));
}

LoadCall SpikeSimilarLossCall(const LoadSize& size) {
  return MakeCall<SpikeSimilarLossArgs>(
      [](const std::vector<Tensor>& t) {
        return SpikeSimilarLossArgs{.spikes = t[0], .labels = t[1], .kernel = LinearKernel{}};
      },
      Samples(size), OneHot(size.samples));
}

LoadCall RedundantOneHotCall(const LoadSize& size) {
  return MakeCall<RedundantOneHotArgs>(
      [](const std::vector<Tensor>& t) {
        return RedundantOneHotArgs{.labels = t[0], .num_classes = kClasses, .n = 10, .mask_dtype = DataType::kBit};
      },
      Labels(std::max<int64_t>(1, size.bytes / static_cast<int64_t>(sizeof(int32_t)))));
}

LoadCall FirstSpikeIndexCall(const LoadSize& size) {
  constexpr int64_t kRowBytes = 16;
  return MakeCall<FirstSpikeIndexArgs>(
      [](const std::vector<Tensor>& t) { return FirstSpikeIndexArgs{.spikes = t[0], .index_output = true}; },
      Spikes(std::max<int64_t>(1, size.bytes / kRowBytes), 8 * kRowBytes));
}

LoadCall ThresholdMarginCall(const LoadSize& size) {
  return MakeCall<ThresholdMarginArgs>(
      [](const std::vector<Tensor>& t) { return ThresholdMarginArgs{.label_one_hot = t[0], .training = true}; },
      OneHot(std::max<int64_t>(1, size.bytes / kClasses)));
}

LoadCall StcaLossCall(const LoadSize& size) {
  return MakeCall<StcaLossArgs>(
      [](const std::vector<Tensor>& t) { return StcaLossArgs{.v = t[0], .v_threshold = 1.0f, .t_in = 2, .n_d = 3.0f}; },
      Voltages(size.bytes));
}

}  // namespace

const std::vector<std::pair<std::string, MakeLoadCall>>& LoadCalls() {
  static const auto* const kCalls = new std::vector<std::pair<std::string, MakeLoadCall>>{
      {"spike-cluster", SpikeClusterCall},
      {"kernel-dot-product", KernelDotProductCall},
      {"kernel-dot-product-vjp", KernelDotProductVjpCall},
      {"spike-similar-loss", SpikeSimilarLossCall},
      {"redundant-one-hot", RedundantOneHotCall},
      {"first-spike-index", FirstSpikeIndexCall},
      {"threshold-margin", ThresholdMarginCall},
      {"stca-loss", StcaLossCall},
  };
  return *kCalls;
}

}  // namespace spikeserve::cli

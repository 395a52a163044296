#include "bench/functions.h"

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/digest.h"
#include "bench/stepping.h"
#include "bench/training.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/first_spike_index.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/redundant_one_hot.h"
#include "spikeserve/compute/spike_cluster.h"
#include "spikeserve/compute/spike_similar_loss.h"

namespace spikeserve::bench {
namespace {

void Check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

template <typename T>
T Value(absl::StatusOr<T> value) {
  Check(value.status());
  return *std::move(value);
}

// A Runnable of `compute`, which returns a result, and of `digest`, which takes it. The result is kept until the next
// run, as a caller keeps it.
template <typename Compute, typename DigestOf>
Runnable Make(Compute compute, DigestOf digest) {
  using Result = decltype(compute());
  auto result = std::make_shared<std::optional<Result>>();
  return {[result, compute = std::move(compute)] {
            result->reset();
            result->emplace(compute());
          },
          [result, digest = std::move(digest)] { return digest(**result); }};
}

SpikeClusterOptions ClusterOptions(const Json& params) { return {.t_in = params.at("t_in").get<int64_t>()}; }

Kernel KernelOf(const Json& params, const char* name) {
  const auto kernel = params.at(name).get<std::string>();
  if (kernel == "linear") return LinearKernel{};
  if (kernel == "gaussian") return GaussianKernel{params.at("sigma").get<double>()};
  throw std::runtime_error("no kernel " + kernel);
}

// The bits of a BIT tensor, a row for each index of all dimensions but the last.
BitMatrixView BitsOf(const TensorView& tensor) {
  const int64_t cols = tensor.shape().back();
  return BitMatrixView(tensor.data(), tensor.size() / cols, cols);
}

// The library's.

Runnable LibrarySpikeCluster(Operands& operands, const Json& params, Executor& executor) {
  const std::vector<float> v_threshold = {params.at("v_threshold").get<float>()};
  const TensorView tensor = operands.OnTheWire("v");
  const Eigen::Map<const RowMatrix<float>> v(static_cast<const float*>(tensor.data()), tensor.shape()[0],
                                             tensor.shape()[1]);
  return Make([v, v_threshold, options = ClusterOptions(params),
               &executor] { return Value(SpikeCluster<float>(v, v_threshold, options, executor)); },
              [](const SpikeClusters& c) {
                return std::vector{Digest(c.n_o), Digest(c.k_positive), Digest(c.k_negative)};
              });
}

Runnable LibraryFirstSpikeIndex(Operands& operands, const Json&, Executor& executor) {
  return Make(
      [spikes = BitsOf(operands.OnTheWire("spikes")), &executor] { return Value(FirstSpikeIndex(spikes, executor)); },
      [](const std::vector<int32_t>& index) { return std::vector{Digest(index)}; });
}

Runnable LibraryKernelDotProduct(Operands& operands, const Json& params, Executor& executor) {
  const Kernel kernel = KernelOf(params, "kernel");
  auto ret = std::make_shared<RowMatrix<float>>(operands["x"].shape()[0], operands["y"].shape()[0]);
  const auto digest = [ret] { return std::vector{Digest(absl::MakeConstSpan(ret->data(), ret->size()))}; };
  if (operands["x"].dtype() == DataType::kBool) {
    return {[x = BitsOf(operands.OnTheWire("x")), y = BitsOf(operands.OnTheWire("y")), ret, kernel, &executor] {
              Check(KernelDotProduct<float>(x, y, kernel, *ret, executor));
            },
            digest};
  }
  return {[&x = operands.Floats("x"), &y = operands.Floats("y"), ret, kernel, &executor] {
            Check(KernelDotProduct<float>(x, y, kernel, *ret, executor));
          },
          digest};
}

Runnable LibrarySpikeSimilarLoss(Operands& operands, const Json& params, Executor& executor) {
  const BitMatrixView spikes = BitsOf(operands.OnTheWire("spikes"));
  const RowMatrix<uint8_t> labels = operands["labels"].matrix<bool>().cast<uint8_t>();
  auto gradient = std::make_shared<RowMatrix<float>>(spikes.rows(), spikes.cols());
  auto loss = std::make_shared<double>();
  return {[spikes, labels, loss, gradient, kernel = KernelOf(params, "kernel_type"), &executor] {
            *loss = Value(SpikeSimilarLoss<float>(spikes, labels, kernel, LossType::kMse,
                                                  MutableMatrixView<float>(*gradient), executor));
          },
          [loss, gradient] {
            return std::vector{*loss, Digest(absl::MakeConstSpan(gradient->data(), gradient->size()))};
          }};
}

Runnable LibraryRedundantOneHot(Operands& operands, const Json& params, Executor& executor) {
  const Tensor& labels = operands["labels"];
  const auto num_classes = params.at("num_classes").get<int64_t>(), n = params.at("n").get<int64_t>();
  auto codes = std::make_shared<std::vector<float>>(labels.size() * num_classes * n);
  return {[&labels, num_classes, n, codes, &executor] {
            Check(RedundantOneHot<float>(labels.values<int64_t>(), num_classes, n, absl::MakeSpan(*codes), executor));
          },
          [codes] { return std::vector{Digest(*codes)}; }};
}

// A client's.

Runnable CallSpikeCluster(const OperandOf& operand, const Json& params, const Client& client) {
  const SpikeClusterArgs args = {.v = operand("v"),
                                 .v_threshold = params.at("v_threshold").get<float>(),
                                 .options = ClusterOptions(params),
                                 .index_output = true};
  return Make([args, client] { return Value(client.SpikeCluster(args)); },
              [](const SpikeClusterResult& c) {
                return std::vector{Digest(c.n_o), Digest(c.k_positive), Digest(c.k_negative)};
              });
}

Runnable CallFirstSpikeIndex(const OperandOf& operand, const Json&, const Client& client) {
  const FirstSpikeIndexArgs args = {.spikes = operand("spikes"), .mask_dtype = DataType::kBit};
  return Make([args, client] { return Value(client.FirstSpikeIndex(args)); },
              [](const Tensor& mask) { return std::vector{Digest(FirstOnes(mask))}; });
}

Runnable CallKernelDotProduct(const OperandOf& operand, const Json& params, const Client& client) {
  const KernelDotProductArgs args = {.x = operand("x"), .y = operand("y"), .kernel = KernelOf(params, "kernel")};
  return Make([args, client] { return Value(client.KernelDotProduct(args)); },
              [](const Tensor& ret) { return std::vector{Digest(ret)}; });
}

Runnable CallSpikeSimilarLoss(const OperandOf& operand, const Json& params, const Client& client) {
  const SpikeSimilarLossArgs args = {.spikes = operand("spikes"),
                                     .labels = operand("labels"),
                                     .kernel = KernelOf(params, "kernel_type"),
                                     .compute_gradient = true};
  return Make([args, client] { return Value(client.SpikeSimilarLoss(args)); },
              [](const SpikeSimilarLossResult& r) {
                return std::vector{static_cast<double>(r.loss), Digest(*r.grad_spikes)};
              });
}

Runnable CallRedundantOneHot(const OperandOf& operand, const Json& params, const Client& client) {
  const RedundantOneHotArgs args = {.labels = operand("labels"),
                                    .num_classes = params.at("num_classes").get<int64_t>(),
                                    .n = params.at("n").get<int64_t>(),
                                    .mask_dtype = DataType::kBit};
  return Make([args, client] { return Value(client.RedundantOneHot(args)); },
              [](const Tensor& codes) { return std::vector{Digest(codes)}; });
}

struct Function {
  Runnable (*library)(Operands& operands, const Json& params, Executor& executor);
  Runnable (*call)(const OperandOf& operand, const Json& params, const Client& client);
};

const Function& Find(const std::string& name) {
  static const auto* const kFunctions = new std::map<std::string, Function>{
      {"spike_cluster", {LibrarySpikeCluster, CallSpikeCluster}},
      {"first_spike_index", {LibraryFirstSpikeIndex, CallFirstSpikeIndex}},
      {"kernel_dot_product", {LibraryKernelDotProduct, CallKernelDotProduct}},
      {"spike_similar_loss", {LibrarySpikeSimilarLoss, CallSpikeSimilarLoss}},
      {"redundant_one_hot", {LibraryRedundantOneHot, CallRedundantOneHot}},
      {"train_step", {LibraryTrainStep, CallTrainStep}},
      {"forward", {LibraryForward, CallForward}},
      {"run", {LibraryForward, CallRun}},
  };
  const auto it = kFunctions->find(name);
  if (it == kFunctions->end()) throw std::runtime_error("no function " + name);
  return it->second;
}

}  // namespace

Runnable LibraryFunction(const std::string& function, Operands& operands, const Json& params, Executor& executor) {
  return Find(function).library(operands, params, executor);
}

Runnable ClientFunction(const std::string& function, const OperandOf& operand, const Json& params,
                        const Client& client) {
  return Find(function).call(operand, params, client);
}

}  // namespace spikeserve::bench

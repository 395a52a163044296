#include "bench/stepping.h"

#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/two_layers.h"
#include "spikeserve/client/network_run.h"
#include "spikeserve/compute/network.h"

namespace spikeserve::bench {
namespace {

template <typename T>
T Value(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}

// The blocks of steps of a tensor, one after the other, and then from the first one on again.
class Blocks {
 public:
  Blocks(const TensorView& all, int64_t steps) : all_(all), steps_(steps) {
    if (all.shape()[0] % steps != 0) throw std::runtime_error("x is no whole number of blocks");
  }

  TensorView Next() {
    Shape shape = all_.shape();
    shape[0] = steps_;
    const auto* data = static_cast<const std::byte*>(all_.data()) + begin_ / steps_ * *ByteCount(all_.dtype(), shape);
    begin_ = (begin_ + steps_) % all_.shape()[0];
    return {all_.dtype(), std::move(shape), data};
  }

 private:
  const TensorView all_;
  const int64_t steps_;
  int64_t begin_ = 0;
};

// A Runnable of `forward`, which gives the output of the next steps as numbers of 0 and 1.
template <typename Forward>
Runnable Make(Forward forward, int64_t steps) {
  auto first = std::make_shared<std::optional<double>>();
  return {[first, forward = std::move(forward), steps] {
            const auto output = forward();
            if (!*first) *first = std::accumulate(output.begin(), output.begin() + output.size() / steps, 0.0);
          },
          [first] { return std::vector{**first}; }};
}

}  // namespace

Runnable LibraryForward(Operands& operands, const Json& params, Executor& executor) {
  auto network = std::make_shared<Network>(
      Value(Network::Create(TwoLayers([&](const std::string& name) { return operands.OnTheWire(name); }, params))));
  const int64_t steps = params.at("steps").get<int64_t>();
  const RowMatrix<float>& floats = operands.Floats("x");
  auto blocks = std::make_shared<Blocks>(
      TensorView(absl::MakeConstSpan(floats.data(), floats.size()), operands["x"].shape()), steps);
  const auto forward = [network, blocks, &executor] {
    const TensorView input = blocks->Next();
    const absl::Span<const float> values(static_cast<const float*>(input.data()), static_cast<size_t>(input.size()));
    return Value(network->Forward(values, input.shape(), {}, executor)).output;
  };
  return Make(forward, steps);
}

Runnable CallForward(const OperandOf& operand, const Json& params, const Client& client) {
  auto network = std::make_shared<NetworkHandle>(Value(client.CreateNetwork(TwoLayers(operand, params))));
  const int64_t steps = params.at("steps").get<int64_t>();
  auto blocks = std::make_shared<Blocks>(operand("x"), steps);
  const auto forward = [network, blocks] {
    const Tensor output = Value(network->Forward({.input = blocks->Next()})).output;
    const absl::Span<const bool> spikes = output.values<bool>();
    return std::vector<bool>(spikes.begin(), spikes.end());
  };
  return Make(forward, steps);
}

Runnable CallRun(const OperandOf& operand, const Json& params, const Client& client) {
  auto network = std::make_shared<NetworkHandle>(Value(client.CreateNetwork(TwoLayers(operand, params))));
  auto run = std::make_shared<NetworkRun>(Value(network->Run()));
  const int64_t steps = params.at("steps").get<int64_t>();
  auto blocks = std::make_shared<Blocks>(operand("x"), steps);
  // The stream ends before its network.
  const auto forward = [network, run, blocks] {
    const Tensor output = Value(run->Step(blocks->Next())).output;
    const absl::Span<const bool> spikes = output.values<bool>();
    return std::vector<bool>(spikes.begin(), spikes.end());
  };
  return Make(forward, steps);
}

}  // namespace spikeserve::bench

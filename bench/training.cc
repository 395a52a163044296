#include "bench/training.h"

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/two_layers.h"
#include "spikeserve/client/training.h"
#include "spikeserve/compute/network.h"

namespace spikeserve::bench {
namespace {

// The learning rate is 0: everything is computed, but each step finds the network, and the same number of spikes, as
// the one before did.
TrainStepOptions Options(const Json& params) {
  return {.optimizer = Adam{.learning_rate = 0},
          .num_classes = params.at("num_classes").get<int64_t>(),
          .losses = {{.kind = CountLoss()}}};
}

template <typename T>
T Value(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}

}  // namespace

Runnable LibraryTrainStep(Operands& operands, const Json& params, Executor& executor) {
  const OperandOf operand = [&](const std::string& name) { return operands.OnTheWire(name); };
  auto network = std::make_shared<Network>(Value(Network::Create(TwoLayers(operand, params))));
  auto loss = std::make_shared<double>();
  // The library takes floats, and all steps.
  auto x = std::make_shared<std::vector<float>>();
  const RowMatrix<float>& once = operands.Floats("x");
  const int64_t times = params.value("repeat_input", int64_t{1});
  for (int64_t t = 0; t < times; ++t) x->insert(x->end(), once.data(), once.data() + once.size());
  Shape shape = operands["x"].shape();
  if (params.contains("repeat_input")) shape.insert(shape.begin(), times);
  const TensorView labels = operand("labels");
  return {[network, loss, x, shape, labels, options = Options(params), &executor] {
            const absl::Span<const int64_t> classes(static_cast<const int64_t*>(labels.data()),
                                                    static_cast<size_t>(labels.size()));
            *loss = Value(network->TrainStep(*x, shape, classes, options, executor)).loss;
          },
          [loss] { return std::vector{*loss}; }};
}

Runnable CallTrainStep(const OperandOf& operand, const Json& params, const Client& client) {
  auto network = std::make_shared<NetworkHandle>(Value(client.CreateNetwork(TwoLayers(operand, params))));
  auto loss = std::make_shared<double>();
  TrainStepArgs args = {.input = operand("x"), .labels = operand("labels"), .options = Options(params)};
  if (params.contains("repeat_input")) args.repeat_input = params.at("repeat_input").get<int64_t>();
  return {[network, loss, args] { *loss = Value(network->TrainStep(args)).loss; },
          [loss] { return std::vector{*loss}; }};
}

}  // namespace spikeserve::bench

// Time of networks' steps, layer by layer: Forward as a server that only evaluates calls it, TrainStep with all of it.

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/compute/optimizer.h"
#include "spikeserve/compute/training.h"

namespace spikeserve {
namespace {

constexpr int64_t kSteps = 8;
constexpr int64_t kBatch = 32;
constexpr int64_t kClasses = 10;
constexpr int64_t kSide = 16;

std::vector<float> Weights(int64_t count, int64_t inputs) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-2.0f, 2.8f);
  std::vector<float> weights(static_cast<size_t>(count));
  for (float& w : weights) w = uniform(random) / static_cast<float>(inputs);
  return weights;
}

LinearLayer Linear(int64_t out, int64_t in) {
  LinearLayer layer;
  layer.weight = Eigen::Map<const RowMatrix<float>>(Weights(out * in, in).data(), out, in);
  return layer;
}

Conv2d Convolution(int64_t out, int64_t in) {
  return {.weight_shape = {out, in, 3, 3}, .weight = Weights(out * in * 9, in * 9), .padding = {1, 1}};
}

LayerSpec Neurons() { return {.kind = LifNode()}; }

std::vector<LayerSpec> Linears() {
  return {{.kind = Linear(256, kSide * kSide)}, Neurons(), {.kind = Linear(kClasses, 256)}, Neurons()};
}

// Eight channels of planes, of which `layer` makes planes of half the sides, if `halves`.
template <typename Layer>
std::vector<LayerSpec> Planes(Layer layer, bool halves) {
  const int64_t side = halves ? kSide / 2 : kSide;
  std::vector<LayerSpec> layers;
  // Has a parameter, so that `layer` gives a gradient to it.
  layers.push_back({.kind = PlifNode()});
  layers.push_back({.kind = std::move(layer)});
  layers.push_back(Neurons());
  layers.push_back({.kind = Flatten()});
  layers.push_back({.kind = Linear(kClasses, 8 * side * side)});
  layers.push_back(Neurons());
  return layers;
}

std::vector<LayerSpec> Convolutions() { return Planes(Convolution(8, 8), false); }
std::vector<LayerSpec> MeanPools() { return Planes(AvgPool2d{.kernel = {2, 2}}, true); }
std::vector<LayerSpec> MaxPools() { return Planes(MaxPool2d{.kernel = {2, 2}}, true); }
std::vector<LayerSpec> OverlappingMeanPools() {
  return Planes(AvgPool2d{.kernel = {3, 3}, .stride = Extent{2, 2}, .padding = {1, 1}}, true);
}
std::vector<LayerSpec> OverlappingMaxPools() {
  return Planes(MaxPool2d{.kernel = {3, 3}, .stride = Extent{2, 2}, .padding = {1, 1}}, true);
}
std::vector<LayerSpec> Norms() { return Planes(BatchNorm2d{.num_features = 8}, false); }

struct Samples {
  Shape shape;
  std::vector<float> input;
  std::vector<int64_t> labels;
};

Samples Spikes(const Shape& features) {
  std::mt19937 random(2);
  Samples samples;
  samples.shape = {kSteps, kBatch};
  samples.shape.insert(samples.shape.end(), features.begin(), features.end());
  int64_t count = 1;
  for (const int64_t length : samples.shape) count *= length;
  for (int64_t i = 0; i < count; ++i) samples.input.push_back(random() % 4 == 0);
  for (int64_t i = 0; i < kBatch; ++i) samples.labels.push_back(i % kClasses);
  return samples;
}

template <std::vector<LayerSpec> (*Layers)()>
Samples SamplesFor() {
  if constexpr (Layers == Linears) return Spikes({kSide * kSide});
  return Spikes({8, kSide, kSide});
}

template <std::vector<LayerSpec> (*Layers)()>
void Forward(benchmark::State& state) {
  Network network = *Network::Create(Layers());
  const Samples samples = SamplesFor<Layers>();
  for (auto _ : state) benchmark::DoNotOptimize(network.Forward(samples.input, samples.shape));
  state.SetItemsProcessed(state.iterations() * kSteps);
}

template <std::vector<LayerSpec> (*Layers)()>
void TrainStep(benchmark::State& state) {
  Network network = *Network::Create(Layers());
  const Samples samples = SamplesFor<Layers>();
  // The learning rate is 0: each step finds the network as the one before did.
  const TrainStepOptions options = {
      .optimizer = Adam{.learning_rate = 0}, .num_classes = kClasses, .losses = {{.kind = CountLoss()}}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(network.TrainStep(samples.input, samples.shape, samples.labels, options));
  }
  state.SetItemsProcessed(state.iterations() * kSteps);
}

// Items are steps of 32 samples, of 256 elements or of eight planes of 16 by 16.
#define SPIKESERVE_BENCHMARK_NETWORK(layers)                 \
  BENCHMARK(Forward<layers>)->Unit(benchmark::kMicrosecond); \
  BENCHMARK(TrainStep<layers>)->Unit(benchmark::kMicrosecond)

SPIKESERVE_BENCHMARK_NETWORK(Linears);
SPIKESERVE_BENCHMARK_NETWORK(Convolutions);
SPIKESERVE_BENCHMARK_NETWORK(MeanPools);
SPIKESERVE_BENCHMARK_NETWORK(MaxPools);
SPIKESERVE_BENCHMARK_NETWORK(OverlappingMeanPools);
SPIKESERVE_BENCHMARK_NETWORK(OverlappingMaxPools);
SPIKESERVE_BENCHMARK_NETWORK(Norms);

}  // namespace
}  // namespace spikeserve

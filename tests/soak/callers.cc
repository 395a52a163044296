#include "soak/callers.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/network.h"

namespace spikeserve::soak {
namespace {

bool Same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.byte_size() == 0 || std::memcmp(a.data(), b.data(), a.byte_size()) == 0);
}

RowMatrix<float> Random(int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.3f, 0.5f);
  return RowMatrix<float>::NullaryExpr(rows, cols, [&] { return normal(random); });
}

std::vector<LayerSpec> Layers() {
  const RowMatrix<float> first = Random(40, 20, 1), second = Random(6, 40, 2);
  return {{.name = "first", .kind = LinearLayer{.weight = first, .bias = std::vector<float>(40, 0.1f)}},
          {.name = "hidden", .kind = LifNode{}},
          {.name = "mask", .kind = Dropout{0.2, 7}},
          {.name = "second", .kind = LinearLayer{.weight = second, .bias = std::vector<float>(6, 0.1f)}},
          {.name = "out", .kind = PlifNode{}}};
}

}  // namespace

void CallFunctions(Soak& soak, uint32_t seed) {
  const Client client = soak.NewClient(), own = *Client::InProcess({.threads = 1});
  std::mt19937 random(seed);
  std::vector<RowMatrix<float>> voltages;
  std::vector<SpikeClusterResult> clusters;
  std::vector<Tensor> kernels;
  for (const int64_t neurons : {3, 200, 7000}) {
    voltages.push_back(Random(60, neurons, seed));
    clusters.push_back(*own.SpikeCluster({.v = voltages.back(), .v_threshold = 1.0f}));
    kernels.push_back(*own.KernelDotProduct({.x = voltages.back(), .kernel = GaussianKernel{2}}));
  }
  while (!soak.ended()) {
    const size_t i = random() % voltages.size();
    const auto cluster = client.SpikeCluster({.v = voltages[i], .v_threshold = 1.0f});
    soak.Count("SpikeCluster", cluster.ok() && Same(cluster->n_o, clusters[i].n_o),
               [&] { return cluster.ok() ? "another result" : cluster.status().ToString(); });
    const auto kernel = client.KernelDotProduct({.x = voltages[i], .kernel = GaussianKernel{2}});
    soak.Count("KernelDotProduct", kernel.ok() && Same(*kernel, kernels[i]),
               [&] { return kernel.ok() ? "another result" : kernel.status().ToString(); });
  }
}

void CallInPieces(Soak& soak) {
  const Client client = soak.NewClient({.stream_above_bytes = 1 << 20});
  const RowMatrix<float> v = Random(80, 9000, 5);
  const SpikeClusterResult wanted = *Client::InProcess({.threads = 1})->SpikeCluster({.v = v, .v_threshold = 1.0f});
  while (!soak.ended()) {
    const auto got = client.SpikeCluster({.v = v, .v_threshold = 1.0f});
    soak.Count("StreamSpikeCluster", got.ok() && Same(got->n_o, wanted.n_o),
               [&] { return got.ok() ? "another result" : got.status().ToString(); });
  }
}

void Train(Soak& soak, uint32_t seed) {
  const Client client = soak.NewClient();
  constexpr int64_t kSteps = 8, kBatch = 10;
  const RowMatrix<float> input = Random(kSteps * kBatch, 20, seed);
  const absl::Span<const float> values(input.data(), input.size());
  std::vector<int64_t> labels(kBatch);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 3);
  const TrainStepOptions options = {
      .optimizer = Adam{.learning_rate = 0.01}, .num_classes = 3, .losses = {{.kind = RateLoss{}}}};
  while (!soak.ended()) {
    const absl::StatusOr<NetworkHandle> network = client.CreateNetwork(Layers());
    soak.Expect("CreateNetwork", network.status());
    if (!network.ok()) continue;
    Network twin = *Network::Create(Layers());
    for (uint64_t step = 0; step < 40 && !soak.ended(); ++step) {
      const auto got = network->TrainStep({.input = TensorView(values, {kSteps, kBatch, 20}),
                                           .labels = TensorView(absl::MakeConstSpan(labels), {kBatch}),
                                           .options = options,
                                           .step = step});
      const auto wanted = twin.TrainStep(values, {kSteps, kBatch, 20}, labels, options);
      soak.Count("TrainStep", got.ok() && wanted.ok() && got->loss == wanted->loss,
                 [&] { return got.ok() ? "another loss" : got.status().ToString(); });
    }
  }
}

void Step(Soak& soak) {
  const Client client = soak.NewClient();
  const std::vector<float> one = {1};
  const TensorView input(absl::MakeConstSpan(one), {1, 1, 1});
  const std::vector<RecordRequest> records = {{.layer = "n", .v_before_reset = true}};
  while (!soak.ended()) {
    IfNode counter;
    counter.v_threshold = 1e9f;
    const absl::StatusOr<NetworkHandle> network = client.CreateNetwork({{.name = "n", .kind = counter}});
    soak.Expect("CreateNetwork", network.status());
    if (!network.ok()) continue;
    absl::StatusOr<NetworkRun> run = network->Run({.records = records});
    soak.Expect("Run", run.status());
    uint64_t steps = 0;
    const auto check = [&](const char* kind, const auto& got) {
      ++steps;
      soak.Count(kind, got.ok() && got->records[0].v_before_reset->template values<float>()[0] == steps,
                 [&] { return got.ok() ? "a step lost or twice" : got.status().ToString(); });
    };
    while (steps < 2000 && run.ok() && !soak.ended()) {
      check("Forward", network->Forward({.input = input, .records = records, .step = steps}));
      for (int i = 0; i < 5; ++i) check("Run message", run->Step(input));
    }
  }
}

void GiveUp(Soak& soak) {
  const Client client = soak.NewClient();
  const RowMatrix<float> x = Random(1500, 400, 3);
  std::mt19937 random(4);
  while (!soak.ended()) {
    const absl::Duration timeout = absl::Microseconds(100 + random() % 20'000);
    const auto got = client.KernelDotProduct({.x = x, .kernel = GaussianKernel{2}}, {.timeout = timeout});
    soak.Count("given up",
               got.ok() || absl::IsDeadlineExceeded(got.status()) || absl::IsResourceExhausted(got.status()),
               [&] { return got.status().ToString(); });
  }
}

void Reconnect(Soak& soak) {
  const std::vector<uint8_t> spikes = {0, 0, 1, 0};
  const Tensor wanted = *Client::InProcess({.threads = 1})->FirstSpikeIndex({.spikes = spikes});
  while (!soak.ended()) {
    const Client client = *Client::Connect(soak.ways().tls, soak.Encrypted());
    const auto first = client.FirstSpikeIndex({.spikes = spikes});
    soak.Count("on a new connection", first.ok() && Same(*first, wanted),
               [&] { return first.ok() ? "another result" : first.status().ToString(); });
  }
}

}  // namespace spikeserve::soak

// Bytes per second of the functions that go once over their operands, beside those of memory itself. What counts as
// bytes is told at each benchmark.

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "hwy/highway.h"
#include "spikeserve/compute/spike_cluster.h"
#include "spikeserve/compute/spike_cluster_scan.h"

namespace spikeserve {
namespace {

// Voltages of which about a fifth is above the threshold of 1.
RowMatrix<float> Voltages(int64_t steps, int64_t neurons) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.2f, 1.0f);
  std::vector<float> some(1 << 16);
  for (float& v : some) v = normal(random);
  return RowMatrix<float>::NullaryExpr(steps, neurons, [&] { return some[random() % some.size()]; });
}

void SetBytes(benchmark::State& state, int64_t bytes) { state.SetBytesProcessed(state.iterations() * bytes); }

// What memory can do: reading (the C library's search for a byte that is not there), writing, copying.

void MemoryRead(benchmark::State& state) {
  const std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)), 0);
  for (auto _ : state) benchmark::DoNotOptimize(std::memchr(bytes.data(), 1, bytes.size()));
  SetBytes(state, state.range(0));
}
BENCHMARK(MemoryRead)->Arg(4'000'000)->Arg(40'000'000);

void MemoryWrite(benchmark::State& state) {
  std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    std::memset(bytes.data(), 0, bytes.size());
    benchmark::ClobberMemory();
  }
  SetBytes(state, state.range(0));
}
BENCHMARK(MemoryWrite)->Arg(1'000'000)->Arg(40'000'000);

void MemoryCopy(benchmark::State& state) {
  const std::vector<uint8_t> from(static_cast<size_t>(state.range(0)), 1);
  std::vector<uint8_t> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
  SetBytes(state, state.range(0));
}
BENCHMARK(MemoryCopy)->Arg(4'000'000)->Arg(40'000'000);

// Bytes of v that are read, from v [range(0), range(1)] with t_in = range(2).

void SpikeClusters(benchmark::State& state) {
  const RowMatrix<float> v = Voltages(state.range(0), state.range(1));
  const SpikeClusterOptions options{.t_in = state.range(2)};
  for (auto _ : state) benchmark::DoNotOptimize(SpikeCluster<float>(v, {1.0f}, options));
  SetBytes(state, v.size() * sizeof(float));
}
BENCHMARK(SpikeClusters)
    ->Args({100, 10'000, 1})
    ->Args({100, 10'000, 10})
    ->Args({100, 10'000, 1'000})
    ->Args({100, 9'999, 1})
    ->Args({1'000, 1'000, 1})
    ->Args({100, 100'000, 1})
    ->Args({10, 10, 1});

void SpikeClustersOfDoubles(benchmark::State& state) {
  const RowMatrix<double> v = Voltages(state.range(0), state.range(1)).cast<double>();
  const SpikeClusterOptions options{.t_in = state.range(2)};
  for (auto _ : state) benchmark::DoNotOptimize(SpikeCluster<double>(v, {1.0}, options));
  SetBytes(state, v.size() * sizeof(double));
}
BENCHMARK(SpikeClustersOfDoubles)->Args({100, 10'000, 1});

// In pieces of range(3) rows.
void SpikeClustersInPieces(benchmark::State& state) {
  const RowMatrix<float> v = Voltages(state.range(0), state.range(1));
  const SpikeClusterOptions options{.t_in = state.range(2)};
  for (auto _ : state) {
    auto scan = *SpikeClusterScan<float>::Create(v.cols(), {1.0f}, options);
    for (int64_t t = 0; t < v.rows(); t += state.range(3)) {
      (void)scan.Add(v.middleRows(t, std::min(state.range(3), v.rows() - t)));
    }
    benchmark::DoNotOptimize(scan.Finish());
  }
  SetBytes(state, v.size() * sizeof(float));
}
BENCHMARK(SpikeClustersInPieces)->Args({100, 10'000, 1, 1})->Args({100, 10'000, 1, 16})->Args({100, 10'000, 10, 16});

}  // namespace
}  // namespace spikeserve

// --target=AVX2 and the like: with the instruction set of that name only.
int main(int argc, char** argv) {
  const std::string flag = "--target=";
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]).rfind(flag, 0) != 0) continue;
    const std::string name = argv[i] + flag.size();
    for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
      if (name == hwy::TargetName(target)) hwy::SetSupportedTargetsForTest(target);
    }
    std::copy(argv + i + 1, argv + argc, argv + i);
    --argc;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

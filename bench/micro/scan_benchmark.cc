// Bytes per second of the functions that go once over their operands, beside those of memory itself. What counts as
// bytes is told at each benchmark.

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "hwy/highway.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/first_spike_index.h"
#include "spikeserve/compute/redundant_one_hot.h"
#include "spikeserve/compute/spike_cluster.h"
#include "spikeserve/compute/spike_cluster_scan.h"
#include "spikeserve/compute/stca_loss.h"
#include "spikeserve/compute/step_mask.h"

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

// Bytes of v that are read and of its gradient that are written.
void StcaLossAndGradient(benchmark::State& state) {
  const RowMatrix<float> v = Voltages(state.range(0), state.range(1));
  RowMatrix<float> grad_v(v.rows(), v.cols());
  for (auto _ : state) {
    benchmark::DoNotOptimize(StcaLoss<float>(v, {1.0f}, 1, {4.0}, MutableMatrixView<float>(grad_v)));
    benchmark::ClobberMemory();
  }
  SetBytes(state, 2 * v.size() * sizeof(float));
}
BENCHMARK(StcaLossAndGradient)->Args({100, 10'000})->Args({100, 100'000});

// Bytes of the mask [range(0), range(1)] that are written.

std::vector<int32_t> Index(int64_t count, int64_t steps) {
  std::mt19937 random(1);
  std::vector<int32_t> index(static_cast<size_t>(count));
  for (int32_t& step : index) step = static_cast<int32_t>(random() % (steps + 1)) - 1;
  return index;
}

void StepMask(benchmark::State& state) {
  const std::vector<int32_t> index = Index(state.range(1), state.range(0));
  std::vector<uint8_t> mask(static_cast<size_t>(state.range(0) * state.range(1)));
  for (auto _ : state) {
    WriteStepMask(index, state.range(0), absl::MakeSpan(mask));
    benchmark::ClobberMemory();
  }
  SetBytes(state, mask.size());
}
BENCHMARK(StepMask)->Args({100, 10'000})->Args({100, 100'000});

void StepBitMask(benchmark::State& state) {
  const std::vector<int32_t> index = Index(state.range(1), state.range(0));
  std::vector<uint8_t> mask(static_cast<size_t>(state.range(0) * ((state.range(1) + 7) / 8)));
  for (auto _ : state) {
    WriteStepBitMask(index, state.range(0), absl::MakeSpan(mask));
    benchmark::ClobberMemory();
  }
  SetBytes(state, mask.size());
}
BENCHMARK(StepBitMask)->Args({100, 10'000})->Args({100, 100'000});

// Bytes of the codes of range(0) labels of range(1) classes, range(2) ones each, that are written.

std::vector<int64_t> Labels(const benchmark::State& state) {
  std::mt19937 random(1);
  std::vector<int64_t> labels(static_cast<size_t>(state.range(0)));
  for (int64_t& label : labels) label = static_cast<int64_t>(random()) % state.range(1);
  return labels;
}

template <typename Scalar>
void OneHot(benchmark::State& state) {
  const std::vector<int64_t> labels = Labels(state);
  std::vector<Scalar> codes(static_cast<size_t>(state.range(0) * state.range(1) * state.range(2)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(RedundantOneHot(labels, state.range(1), state.range(2), absl::MakeSpan(codes)));
    benchmark::ClobberMemory();
  }
  SetBytes(state, codes.size() * sizeof(Scalar));
}
BENCHMARK(OneHot<float>)
    ->Args({100'000, 10, 10})
    ->Args({10'000, 10, 10})
    ->Args({1'000, 10, 10})
    ->Args({1'000, 1'000, 10});
BENCHMARK(OneHot<uint8_t>)->Args({100'000, 10, 10})->Args({100'000, 10, 1})->Args({10'000, 10, 10});

void OneHotBits(benchmark::State& state) {
  const std::vector<int64_t> labels = Labels(state);
  std::vector<uint8_t> codes(static_cast<size_t>(state.range(0) * ((state.range(1) * state.range(2) + 7) / 8)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(RedundantOneHotBits(labels, state.range(1), state.range(2), absl::MakeSpan(codes)));
    benchmark::ClobberMemory();
  }
  SetBytes(state, codes.size());
}
BENCHMARK(OneHotBits)->Args({100'000, 10, 10});

// Bytes of the spikes [range(0), range(1)] that are read, of which one in range(2) is 1.

RowMatrix<uint8_t> Spikes(const benchmark::State& state) {
  std::mt19937 random(1);
  return RowMatrix<uint8_t>::NullaryExpr(state.range(0), state.range(1),
                                         [&] { return random() % state.range(2) == 0; });
}

void FirstSpike(benchmark::State& state) {
  const RowMatrix<uint8_t> spikes = Spikes(state);
  for (auto _ : state) benchmark::DoNotOptimize(FirstSpikeIndex(spikes));
  SetBytes(state, spikes.size());
}
BENCHMARK(FirstSpike)->Args({102'400, 100, 50})->Args({102'400, 10, 50})->Args({100, 102'400, 50'000});

void FirstSpikeOfBits(benchmark::State& state) {
  const RowMatrix<uint8_t> spikes = Spikes(state);
  const BitMatrix padded = *BitMatrix::Pack<uint8_t>(spikes);
  const int64_t row_bytes = (state.range(1) + 7) / 8;
  std::vector<uint8_t> bits(static_cast<size_t>(state.range(0) * row_bytes));
  for (int64_t r = 0; r < state.range(0); ++r) std::memcpy(&bits[r * row_bytes], padded.row(r), row_bytes);
  const BitMatrixView view(bits.data(), state.range(0), state.range(1));
  for (auto _ : state) benchmark::DoNotOptimize(FirstSpikeIndex(view));
  SetBytes(state, bits.size());
}
BENCHMARK(FirstSpikeOfBits)
    ->Args({102'400, 100, 50})
    ->Args({102'400, 50, 50})
    ->Args({102'400, 1'000, 500})
    ->Args({100, 1'024'000, 10'000'000});

// Bytes of the mask [range(0), range(1)] that are written.

void FirstSpikeMask(benchmark::State& state) {
  const std::vector<int32_t> index = Index(state.range(0), state.range(1));
  std::vector<uint8_t> mask(static_cast<size_t>(state.range(0) * state.range(1)));
  for (auto _ : state) {
    WriteFirstSpikeMask(index, state.range(1), absl::MakeSpan(mask));
    benchmark::ClobberMemory();
  }
  SetBytes(state, mask.size());
}
BENCHMARK(FirstSpikeMask)->Args({102'400, 100});

void FirstSpikeBitMask(benchmark::State& state) {
  const std::vector<int32_t> index = Index(state.range(0), state.range(1));
  std::vector<uint8_t> mask(static_cast<size_t>(state.range(0) * ((state.range(1) + 7) / 8)));
  for (auto _ : state) {
    WriteFirstSpikeBitMask(index, state.range(1), absl::MakeSpan(mask));
    benchmark::ClobberMemory();
  }
  SetBytes(state, mask.size());
}
BENCHMARK(FirstSpikeBitMask)->Args({102'400, 100});

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

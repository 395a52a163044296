// Kernel products and what they are made of, beside OpenBLAS on the same operands; spikes have a rate of 0.2. The last
// argument of a benchmark is its number of threads. "MAC/s" are multiplications and additions, those that symmetry
// saves counted as done, so that rates compare with sgemm's; "peak" the fraction of what the machine's popcounts could
// do.

#include <cstdint>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "benchmark/benchmark.h"
#include "cblas.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/spike_similar_loss.h"
#include "tbb/blocked_range.h"
#include "tbb/parallel_for.h"
#include "tbb/task_arena.h"

namespace spikeserve {
namespace {

// As the server's pool.
class Threads : public Executor {
 public:
  explicit Threads(int64_t count) : arena_(static_cast<int>(count)) {}

  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t begin, int64_t end)> body) override {
    if (count <= grain) {
      if (count > 0) body(0, count);
      return;
    }
    arena_.execute([&] {
      tbb::parallel_for(
          tbb::blocked_range<int64_t>(0, (count + grain - 1) / grain),
          [&](const tbb::blocked_range<int64_t>& r) { body(r.begin() * grain, std::min(count, r.end() * grain)); });
    });
  }

 private:
  tbb::task_arena arena_;
};

RowMatrix<float> Spikes(int64_t rows, int64_t cols) {
  std::mt19937 random(1);
  return RowMatrix<float>::NullaryExpr(rows, cols, [&] { return random() % 5 == 0 ? 1.0f : 0.0f; });
}

RowMatrix<float> Floats(int64_t rows, int64_t cols, uint32_t seed = 1) {
  std::mt19937 random(seed);
  return RowMatrix<float>::NullaryExpr(rows, cols, [&] { return static_cast<float>(random()) * 0x1p-32f; });
}

void SetProducts(benchmark::State& state, int64_t rows, int64_t cols, int64_t depth) {
  state.counters["MAC/s"] =
      benchmark::Counter(static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(depth),
                         benchmark::Counter::kIsIterationInvariantRate);
}

// x [range(0), range(1)] times its transpose by sgemm, with range(2) threads: those of OpenBLAS where it has some, else
// each with its rows of the result. (The serial OpenBLAS is not made for that: the time is right, the products may not
// be; see docs/decisions/0007.)
void Sgemm(benchmark::State& state) {
  const int64_t n = state.range(0);
  const int64_t m = state.range(1);
  const bool serial = openblas_get_parallel() == OPENBLAS_SEQUENTIAL;
  if (!serial) openblas_set_num_threads(static_cast<int>(state.range(2)));
  const int64_t parts = serial ? state.range(2) : 1;
  const RowMatrix<float> x = Floats(n, m);
  RowMatrix<float> ret(n, n);
  const auto multiply = [&](int64_t part) {
    const int64_t begin = n * part / parts;
    const int64_t end = n * (part + 1) / parts;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(end - begin), static_cast<int>(n),
                static_cast<int>(m), 1, &x(begin, 0), static_cast<int>(m), x.data(), static_cast<int>(m), 0,
                &ret(begin, 0), static_cast<int>(n));
  };
  for (auto _ : state) {
    std::vector<std::thread> workers;
    for (int64_t part = 1; part < parts; ++part) workers.emplace_back(multiply, part);
    multiply(0);
    for (std::thread& worker : workers) worker.join();
  }
  SetProducts(state, n, n, m);
}

void Kernels(benchmark::State& state, const RowMatrix<float>& x, const RowMatrix<float>& y, const Kernel& kernel) {
  Threads threads(state.range(2));
  RowMatrix<float> ret(x.rows(), y.rows());
  for (auto _ : state) {
    if (!KernelDotProduct<float>(x, y, kernel, ret, threads).ok()) state.SkipWithError("failed");
  }
  SetProducts(state, x.rows(), y.rows(), x.cols());
}

void Bits(benchmark::State& state, const Kernel& kernel) {
  Threads threads(state.range(2));
  const BitMatrix x = *BitMatrix::Pack<float>(Spikes(state.range(0), state.range(1)));
  RowMatrix<float> ret(x.rows(), x.rows());
  for (auto _ : state) {
    if (!KernelDotProduct<float>(x, x, kernel, ret, threads).ok()) state.SkipWithError("failed");
  }
  SetProducts(state, x.rows(), x.rows(), x.cols());
}

void BitsLinear(benchmark::State& state) { Bits(state, LinearKernel{}); }
void BitsGaussian(benchmark::State& state) { Bits(state, GaussianKernel{20}); }
void BitsSigmoid(benchmark::State& state) { Bits(state, SigmoidKernel{0.01}); }
// From floats, so with the packing.
void SpikesLinear(benchmark::State& state) {
  const RowMatrix<float> x = Spikes(state.range(0), state.range(1));
  Kernels(state, x, x, LinearKernel{});
}
void FloatsLinear(benchmark::State& state) {
  const RowMatrix<float> x = Floats(state.range(0), state.range(1));
  Kernels(state, x, x, LinearKernel{});
}
void FloatsGaussian(benchmark::State& state) {
  const RowMatrix<float> x = Floats(state.range(0), state.range(1));
  Kernels(state, x, x, GaussianKernel{20});
}
void FloatsLinearXY(benchmark::State& state) {
  Kernels(state, Floats(state.range(0), state.range(1)), Floats(state.range(0), state.range(1), 2), LinearKernel{});
}
void FloatsGaussianXY(benchmark::State& state) {
  Kernels(state, Floats(state.range(0), state.range(1)), Floats(state.range(0), state.range(1), 2), GaussianKernel{20});
}
void SpikesByFloats(benchmark::State& state) {
  Kernels(state, Spikes(state.range(0), state.range(1)), Floats(state.range(0), state.range(1)), LinearKernel{});
}

void Sizes(benchmark::internal::Benchmark* b) {
  b->Unit(benchmark::kMillisecond)->UseRealTime()->ArgNames({"N", "M", "threads"});
  for (const int threads : {1, 2}) {
    b->Args({1024, 10000, threads})->Args({4096, 4096, threads})->Args({256, 784, threads});
  }
}

BENCHMARK(Sgemm)->Apply(Sizes);
BENCHMARK(BitsLinear)->Apply(Sizes);
BENCHMARK(BitsGaussian)->Apply(Sizes);
BENCHMARK(BitsSigmoid)->Apply(Sizes);
BENCHMARK(SpikesLinear)->Apply(Sizes);
BENCHMARK(FloatsLinear)->Apply(Sizes);
BENCHMARK(FloatsLinearXY)->Apply(Sizes);
BENCHMARK(FloatsGaussian)->Apply(Sizes);
BENCHMARK(FloatsGaussianXY)->Apply(Sizes);
BENCHMARK(SpikesByFloats)->Apply(Sizes);

RowMatrix<uint8_t> Labels(int64_t samples) {
  return RowMatrix<uint8_t>::NullaryExpr(
      samples, 10, [](Eigen::Index i, Eigen::Index c) { return static_cast<uint8_t>(i % 10 == c); });
}

// From bits where `Bits` and else from floats, 0/1 or others; with the gradient where `Gradient`.
template <bool kGradient>
void Loss(benchmark::State& state, const RowMatrix<float>& x, bool bits, const Kernel& kernel) {
  Threads threads(state.range(2));
  const RowMatrix<uint8_t> labels = Labels(x.rows());
  std::optional<BitMatrix> packed;
  if (bits) packed = BitMatrix::Pack<float>(x);
  RowMatrix<float> grad(x.rows(), x.cols());
  std::optional<MutableMatrixView<float>> grad_view;
  if (kGradient) grad_view.emplace(grad);
  for (auto _ : state) {
    const auto loss =
        bits ? SpikeSimilarLoss<float>(*packed, labels, kernel, LossType::kMse, grad_view, threads)
             : SpikeSimilarLoss<float>(MatrixView<float>(x), labels, kernel, LossType::kMse, grad_view, threads);
    if (!loss.ok()) state.SkipWithError("failed");
  }
  SetProducts(state, x.rows(), x.rows(), x.cols() * (kGradient ? 2 : 1));
}

void BitsLossGaussian(benchmark::State& state) {
  Loss<false>(state, Spikes(state.range(0), state.range(1)), true, GaussianKernel{20});
}
void BitsLossLinear(benchmark::State& state) {
  Loss<false>(state, Spikes(state.range(0), state.range(1)), true, LinearKernel{});
}
void BitsGradientGaussian(benchmark::State& state) {
  Loss<true>(state, Spikes(state.range(0), state.range(1)), true, GaussianKernel{20});
}
void BitsGradientLinear(benchmark::State& state) {
  Loss<true>(state, Spikes(state.range(0), state.range(1)), true, LinearKernel{});
}
void SpikesGradientLinear(benchmark::State& state) {
  Loss<true>(state, Spikes(state.range(0), state.range(1)), false, LinearKernel{});
}
void FloatsGradientLinear(benchmark::State& state) {
  Loss<true>(state, Floats(state.range(0), state.range(1)), false, LinearKernel{});
}

BENCHMARK(BitsLossGaussian)->Apply(Sizes);
BENCHMARK(BitsLossLinear)->Apply(Sizes);
BENCHMARK(BitsGradientGaussian)->Apply(Sizes);
BENCHMARK(BitsGradientLinear)->Apply(Sizes);
BENCHMARK(SpikesGradientLinear)->Apply(Sizes);
BENCHMARK(FloatsGradientLinear)->Apply(Sizes);

// range(0) elements, by range(1) threads.
template <typename Scalar>
void Pack(benchmark::State& state) {
  Threads threads(state.range(1));
  const RowMatrix<Scalar> x = Spikes(state.range(0) / 10000, 10000).cast<Scalar>();
  for (auto _ : state) benchmark::DoNotOptimize(BitMatrix::Pack<Scalar>(x, threads));
  state.SetBytesProcessed(state.iterations() * x.size() * static_cast<int64_t>(sizeof(Scalar)));
}
BENCHMARK(Pack<uint8_t>)->ArgsProduct({{10'240'000}, {1, 2}})->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(Pack<float>)->ArgsProduct({{10'240'000}, {1, 2}})->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(Pack<double>)->ArgsProduct({{10'240'000}, {1, 2}})->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace spikeserve

// Compiled once for each kind of vector that Highway knows; the best one that the machine has is called.
#define HWY_WANT_AVX3_DL  // With an instruction that counts bits, where the machine has it.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/machine_limits.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include <chrono>
#include <cstring>
#include <vector>

#include "bench/machine_limits.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spikeserve::bench {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Multiplies and counts the bits of `rounds` times 8 vectors, and returns how many bits a round has.
size_t CountBits(size_t rounds, uint64_t* result) {
  const hn::ScalableTag<uint64_t> d;
  using V = decltype(hn::Zero(d));
  // Eight independent sums hide the latency of the instructions. The operands change, so that nothing is computed
  // ahead.
  V s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  const V a = hn::Iota(d, 1), b = hn::Iota(d, 77);
  for (size_t i = 0; i < rounds; ++i) {
    s0 = hn::Add(s0, hn::PopulationCount(hn::And(a, s1)));
    s1 = hn::Add(s1, hn::PopulationCount(hn::And(b, s2)));
    s2 = hn::Add(s2, hn::PopulationCount(hn::And(a, s3)));
    s3 = hn::Add(s3, hn::PopulationCount(hn::And(b, s4)));
    s4 = hn::Add(s4, hn::PopulationCount(hn::And(a, s5)));
    s5 = hn::Add(s5, hn::PopulationCount(hn::And(b, s6)));
    s6 = hn::Add(s6, hn::PopulationCount(hn::And(a, s7)));
    s7 = hn::Add(s7, hn::PopulationCount(hn::And(b, s0)));
  }
  const V sum = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  *result = hn::GetLane(hn::SumOfLanes(d, sum));
  return 8 * 64 * hn::Lanes(d);
}

// Adds up 64-bit words.
uint64_t Sum(const uint64_t* words, size_t count) {
  const hn::ScalableTag<uint64_t> d;
  const size_t lanes = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    s0 = hn::Add(s0, hn::LoadU(d, words + i));
    s1 = hn::Add(s1, hn::LoadU(d, words + i + lanes));
    s2 = hn::Add(s2, hn::LoadU(d, words + i + 2 * lanes));
    s3 = hn::Add(s3, hn::LoadU(d, words + i + 3 * lanes));
  }
  uint64_t sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < count; ++i) sum += words[i];
  return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace spikeserve::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spikeserve::bench {
namespace {

HWY_EXPORT(CountBits);
HWY_EXPORT(Sum);

// Where results go so that they are computed.
volatile uint64_t sink;

}  // namespace

void TouchMemory(int64_t read_bytes, int64_t write_bytes, Executor& executor) {
  static auto* const read = new std::vector<uint64_t>();
  static auto* const written = new std::vector<char>();
  const auto words = static_cast<size_t>((read_bytes + 7) / 8);
  if (read->size() < words) read->resize(words, 1);
  if (written->size() < static_cast<size_t>(write_bytes)) written->resize(write_bytes, 1);
  constexpr int64_t kGrainBytes = 1 << 18;
  executor.ParallelFor(static_cast<int64_t>(words), kGrainBytes / 8, [&](int64_t begin, int64_t end) {
    sink = HWY_DYNAMIC_DISPATCH(Sum)(read->data() + begin, static_cast<size_t>(end - begin));
  });
  executor.ParallelFor(write_bytes, kGrainBytes, [&](int64_t begin, int64_t end) {
    std::memset(written->data() + begin, 0, static_cast<size_t>(end - begin));
    sink = static_cast<uint64_t>((*written)[begin]);
  });
}

double BitPairsPerSecond() {
  constexpr size_t kRounds = 500'000;  // Shorter than a time slice.
  uint64_t result;
  const auto begin = std::chrono::steady_clock::now();
  const size_t bits = HWY_DYNAMIC_DISPATCH(CountBits)(kRounds, &result);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  sink = result;
  return static_cast<double>(bits) * kRounds / elapsed.count();
}

}  // namespace spikeserve::bench
#endif  // HWY_ONCE

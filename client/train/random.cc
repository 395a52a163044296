#include "train/random.h"

namespace spikeserve::train {

Random::Random(uint64_t seed, Purpose purpose, uint64_t index) {
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  std::seed_seq words{low(seed), high(seed), static_cast<uint32_t>(purpose), low(index), high(index)};
  generator_.seed(words);
}

uint64_t Random::Below(uint64_t n) {
  // 2^64 mod n: the numbers below it are one too many for some remainders.
  const uint64_t excess = (0 - n) % n;
  uint64_t value;
  do {
    value = generator_();
  } while (value < excess);
  return value % n;
}

}  // namespace spikeserve::train

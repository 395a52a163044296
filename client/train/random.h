// Random numbers that are the same at any time and place: std::mt19937_64 is laid down to the bit, unlike what the
// standard library makes of it (std::shuffle, std::uniform_real_distribution).

#ifndef SPIKESERVE_TRAIN_RANDOM_H_
#define SPIKESERVE_TRAIN_RANDOM_H_

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace spikeserve::train {

// What numbers are drawn for. Those for different things do not depend on each other.
enum class Purpose : uint32_t { kParameters = 1, kSplit = 2, kOrder = 3 };

class Random {
 public:
  // `index` tells things of one purpose apart: layers, classes, epochs.
  Random(uint64_t seed, Purpose purpose, uint64_t index);

  // Uniform in [0, 1), of 53 bits.
  double Uniform() { return static_cast<double>(generator_() >> 11) * 0x1p-53; }

  // Uniform in [0, n), n >= 1.
  uint64_t Below(uint64_t n);

  // Fisher and Yates's.
  template <typename T>
  void Shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[Below(i)]);
  }

 private:
  std::mt19937_64 generator_;
};

}  // namespace spikeserve::train

#endif  // SPIKESERVE_TRAIN_RANDOM_H_

#include "simd/bit_packing.h"

#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "lib/simd_targets.h"

namespace spikeserve {
namespace {

TEST(BitPacking, UnpacksWhatItPackedAndWritesNoMoreOnEveryTarget) {
  testing::ForEachTarget([] {
    std::mt19937 random(1);
    for (int64_t count = 0; count < 200; ++count) {
      std::vector<float> elements(static_cast<size_t>(count));
      for (float& e : elements) e = static_cast<float>(random() % 2);
      // Of the exact size, so that a tool that watches memory sees what is read beside it.
      std::vector<uint8_t> bits(static_cast<size_t>((count + 7) / 8));
      ASSERT_TRUE(simd::PackBits(elements.data(), count, bits.data()));
      std::vector<float> unpacked(static_cast<size_t>(count) + 1, 7.0f);
      simd::UnpackBits(bits.data(), count, unpacked.data());
      EXPECT_EQ(unpacked.back(), 7.0f);
      unpacked.pop_back();
      EXPECT_EQ(unpacked, elements);
    }
  });
}

}  // namespace
}  // namespace spikeserve

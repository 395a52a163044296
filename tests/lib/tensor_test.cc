#include "spikeserve/compute/tensor.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spikeserve {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Tensor, IsZeroAndAligned) {
  for (const int64_t size : {1, 3, 17, 1000}) {
    const Tensor tensor(DataType::kFloat32, {size});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
    EXPECT_THAT(tensor.values<float>(), Each(0.0f));
  }
}

TEST(Tensor, CanBeEmpty) {
  const Tensor tensor(DataType::kInt32, {0, 5});
  EXPECT_EQ(tensor.size(), 0);
  EXPECT_THAT(tensor.ToDoubles(), IsEmpty());
  EXPECT_EQ(tensor.matrix<int32_t>().rows(), 0);
  EXPECT_EQ(Tensor().size(), 0);
}

TEST(Tensor, CopiesWhatAViewShows) {
  std::vector<int64_t> values = {1, -2, 3, 4};
  const Tensor tensor(TensorView(absl::MakeConstSpan(values), {2, 2}));
  values.assign(4, 0);
  EXPECT_EQ(tensor.shape(), Shape({2, 2}));
  EXPECT_THAT(tensor.ToDoubles(), ElementsAre(1, -2, 3, 4));
}

TEST(Tensor, MovesItsElements) {
  Tensor tensor(DataType::kUint8, {3});
  const void* data = tensor.data();
  const Tensor moved = std::move(tensor);
  EXPECT_EQ(moved.data(), data);
}

TEST(Tensor, IsAMatrixOfItsFirstDimensionAndTheOthers) {
  const std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const auto of_shape = [&](Shape shape) { return Tensor(TensorView(absl::MakeConstSpan(values), std::move(shape))); };
  const Tensor cube = of_shape({2, 3, 2});
  EXPECT_EQ(cube.matrix<float>().rows(), 2);
  EXPECT_EQ(cube.matrix<float>()(1, 0), 6.0f);
  EXPECT_EQ(of_shape({12}).matrix<float>().rows(), 1);
  const Tensor scalar(TensorView(2.5f));
  EXPECT_EQ(scalar.matrix<float>()(0, 0), 2.5f);
}

TEST(Tensor, ElementsOfAnyTypeAreNumbers) {
  const auto numbers = [](auto value) { return Tensor(TensorView(std::vector{value})).ToDoubles(); };
  EXPECT_THAT(numbers(uint8_t{200}), ElementsAre(200));
  EXPECT_THAT(numbers(int32_t{-7}), ElementsAre(-7));
  EXPECT_THAT(numbers(int64_t{1} << 40), ElementsAre(0x1p40));
  EXPECT_THAT(numbers(0.25f), ElementsAre(0.25));
  EXPECT_THAT(numbers(0.1), ElementsAre(0.1));
  const bool bools[] = {true, false};
  EXPECT_THAT(Tensor(TensorView(absl::MakeConstSpan(bools))).ToDoubles(), ElementsAre(1, 0));
}

TEST(Tensor, BitsAreReadRowByRowLeastSignificantFirst) {
  Tensor tensor(DataType::kBit, {2, 9});
  auto* bytes = static_cast<uint8_t*>(tensor.data());
  bytes[0] = 0b00000101;
  bytes[1] = 0b11111110;  // Only the lowest bit is an element.
  bytes[3] = 0b00000001;
  EXPECT_THAT(tensor.ToDoubles(), ElementsAre(1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
}

}  // namespace
}  // namespace spikeserve
